"""Labelling speed: potstill's teacher against the pipeline of `transformers`. Run it with `make benchmark-label`.

Both score the same texts with the same checkpoint, in turns, in one process: the teacher of the last `dvc repro`, and
the lines of a text file. The pipeline has a batch size of 32 and single precision.
"""

import argparse
import platform
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from potstill import files  # noqa: E402
from potstill.teacher import model  # noqa: E402

RESULTS = ROOT / "benchmarks" / "label"
BATCH, ROUNDS = 32, 3


def pipeline(folder: Path, labels: list[str]) -> Callable[[list[str]], np.ndarray]:
    """What people use: gives ids of classes."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), batch_size=BATCH, dtype="float32", device="cpu")
    facts = files.read_json(folder / "teacher.json")

    def answer(texts: list[str]) -> np.ndarray:
        found = classify(texts, truncation=True, max_length=facts["max_length"])
        return np.array([labels.index(row["label"]) for row in found])

    return answer


def potstill(folder: Path, precision: str) -> Callable[[list[str]], np.ndarray]:
    """The stage `label`: gives ids of classes."""
    teacher = model.load(folder, BATCH, precision)
    return lambda texts: teacher.logits(texts).argmax(1)


def main() -> None:
    """Time all in turns and write `benchmarks/label/results.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a text file with a text per line")
    parser.add_argument("--teacher", type=Path, default=ROOT / "models" / "teacher" / "minilm", help="(%(default)s)")
    parser.add_argument("--texts", type=int, default=4000, help="how many of them (%(default)s)")
    arguments = parser.parse_args()
    texts = arguments.data.read_text("utf-8").splitlines()[: arguments.texts]
    labels = files.read_json(arguments.teacher / "teacher.json")["labels"]
    engines = {
        "pipeline": pipeline(arguments.teacher, labels),
        **{f"potstill {precision}": potstill(arguments.teacher, precision) for precision in ("fp32", "bf16", "auto")},
    }
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    answers: dict[str, np.ndarray] = {}
    for answer in engines.values():
        answer(texts[:64])  # the first is always slow
    for _ in range(ROUNDS):
        for name, answer in engines.items():
            start = perf_counter()
            answers[name] = answer(texts)
            seconds[name].append(perf_counter() - start)
    rows = []
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(seconds["pipeline"], values, strict=True)]
        rows.append(
            {
                "engine": name,
                "texts": len(texts),
                "texts_per_second": round(len(texts) / statistics.median(values), 1),
                "ratio_to_pipeline": round(statistics.median(ratios), 2),
                "lowest_ratio": round(min(ratios), 2),
                "highest_ratio": round(max(ratios), 2),
                "same_labels": round(float((answers[name] == answers["pipeline"]).mean()), 5),
                "command": "make benchmark-label DATA=$DATA",
                "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {version('torch')}, "
                f"transformers {version('transformers')}",
            }
        )
        print({key: rows[-1][key] for key in ("engine", "texts_per_second", "ratio_to_pipeline", "same_labels")})
    files.write_json(RESULTS / "results.json", rows)


if __name__ == "__main__":
    main()
