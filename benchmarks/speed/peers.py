"""Train the peers, in their environment: `python peers.py TRAIN VALIDATION FOLDER MINILM`.

Settings are chosen on validation, as a user would; what was tried is printed as JSON.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import fasttext
import joblib
import numpy as np
from model2vec.distill import distill
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

CS = (1.0, 3.0, 10.0, 30.0)


def read(path: str) -> tuple[list[str], list[str]]:
    """Return texts and labels."""
    rows = json.loads(Path(path).read_text())
    return [text for text, _ in rows], [label for _, label in rows]


def main() -> None:
    """Write `fasttext.bin`, `tfidf.joblib` and `model2vec/` into the folder."""
    (train, labels), (validation, right), folder = read(sys.argv[1]), read(sys.argv[2]), Path(sys.argv[3])
    tried: dict[str, list[dict[str, Any]]] = {"fastText": [], "TF-IDF + logistic regression": [], "model2vec": []}

    def note(peer: str, accuracy: float, **settings: Any) -> bool:
        """Add a result; return whether it is the best so far."""
        best = max((row["validation_accuracy"] for row in tried[peer]), default=-1)
        tried[peer].append({"settings": settings, "validation_accuracy": round(float(accuracy), 6)})
        return accuracy > best

    lines = folder / "train.txt"
    lines.write_text("".join(f"__label__{label} {text}\n" for text, label in zip(train, labels, strict=True)))
    for ngrams, epochs, rate, width in itertools.product((1, 2), (5, 10, 25), (0.1, 0.3, 0.5), (10, 100)):
        settings = {"wordNgrams": ngrams, "epoch": epochs, "lr": rate, "dim": width}
        try:
            model = fasttext.train_supervised(str(lines), thread=1, verbose=0, bucket=200_000, **settings)
        except RuntimeError:  # it ran into NaN
            continue
        found = [labels[0].removeprefix("__label__") for labels in model.predict(validation)[0]]
        if note("fastText", np.mean(np.array(found) == right), **settings):
            model.save_model(str(folder / "fasttext.bin"))

    for c in CS:
        pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(C=c, max_iter=1000)).fit(train, labels)
        if note("TF-IDF + logistic regression", pipeline.score(validation, right), C=c):
            joblib.dump(pipeline, folder / "tfidf.joblib")

    vectors = distill(sys.argv[4])
    vectors.save_pretrained(str(folder / "model2vec"))
    for c in CS:
        head = LogisticRegression(C=c, max_iter=1000).fit(vectors.encode(train), labels)
        if note("model2vec", head.score(vectors.encode(validation), right), C=c):
            joblib.dump(head, folder / "model2vec" / "head.joblib")
    print(json.dumps(tried))


if __name__ == "__main__":
    main()
