"""A model in a process of its own: `python worker.py KIND PATH` reads commands and writes answers.

It runs in potstill's environment or in the peers', and imports only what its model needs. Commands, a line of JSON
each: `{"load": text}` loads the model and classifies one text, `{"texts": path}` reads a JSON list, `{"labels": true}`
classifies it, `{"score": seconds}` does so again and again for that long at least, `{"one": number}` classifies that
many texts one by one. Each is answered by its seconds and what else there is.
"""

import json
import os
import sys
from collections.abc import Callable
from time import perf_counter

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"


def load(kind: str, path: str) -> Callable[[list[str]], list[str]]:
    """Return a function from texts to labels."""
    if kind == "potstill":
        from potstill import Student

        return Student.load(path).predict
    if kind == "fasttext":
        import fasttext

        fasttext.FastText.eprint = lambda *arguments: None
        found = fasttext.load_model(path)
        return lambda texts: [labels[0].removeprefix("__label__") for labels in found.predict(texts)[0]]
    if kind == "scikit-learn":
        import joblib

        return joblib.load(path).predict
    if kind == "tfidf":
        from pathlib import Path

        from potstill.scoring.tfidf import Tfidf

        baseline = Tfidf.load(Path(path))
        return lambda texts: baseline.predict_proba(texts).argmax(1)
    if kind == "pipeline":
        from model2vec.inference import StaticModelPipeline

        pipeline = StaticModelPipeline.from_pretrained(path)
        return lambda texts: pipeline.predict(texts, use_multiprocessing=False)
    if kind == "model2vec":
        import joblib
        from model2vec import StaticModel

        vectors, head = StaticModel.from_pretrained(path), joblib.load(f"{path}/head.joblib")
        return lambda texts: head.predict(vectors.encode(texts, use_multiprocessing=False))
    if kind == "teacher":
        from pathlib import Path

        from potstill.core import device
        from potstill.scoring import model

        device.use_threads(1)
        teacher = model.load(Path(path))
        return lambda texts: [teacher.labels[i] for i in teacher.logits(texts).argmax(1)]
    raise ValueError(kind)


def peak() -> float:
    """Return the peak memory of this process, in megabytes."""
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Answer commands until there are no more."""
    predict, texts = None, []
    for line in sys.stdin:
        command = json.loads(line)
        start = perf_counter()
        answer = {}
        if "load" in command:
            predict = load(*sys.argv[1:])
            predict([command["load"]])
        elif "texts" in command:
            with open(command["texts"]) as stream:
                texts = json.load(stream)
        elif "labels" in command:
            answer["labels"] = list(map(str, predict(texts)))
        elif "score" in command:
            passes = 0
            while perf_counter() - start < command["score"]:
                predict(texts)
                passes += 1
            answer |= {"seconds": (perf_counter() - start) / passes, "texts": len(texts)}
        else:
            times = []
            for text in texts[: command["one"]]:
                begin = perf_counter()
                predict([text])
                times.append(perf_counter() - begin)
            answer["median"] = sorted(times)[len(times) // 2]
        answer.setdefault("seconds", perf_counter() - start)
        answer["megabytes"] = peak()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
