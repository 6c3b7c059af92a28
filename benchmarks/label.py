"""Labelling speed: potstill's teacher against the pipeline of `transformers`. Run it with `make benchmark-label`.

Both score the same texts with the same checkpoint, in turns: the teacher of the last `dvc repro`, and the lines of a
text file. The pipeline has a batch size of 32, single precision, its model loaded, and all cores for its threads;
potstill has what params.yaml says, and loads its model in each of its processes every time.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from potstill import device, files, paths  # noqa: E402
from potstill.params.label import LabelParams  # noqa: E402
from potstill.pool.build import SHARD  # noqa: E402
from potstill.teacher.label import label  # noqa: E402

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


def potstill(folder: Path, **changes: Any) -> Callable[[list[str]], np.ndarray]:
    """What the stage `label` does, from a file to a file, its processes' start included: gives ids of classes."""
    params = LabelParams.load(ROOT / paths.PARAMS)
    params = params.model_validate(params.model_dump() | changes)

    def answer(texts: list[str]) -> np.ndarray:
        with TemporaryDirectory() as work:
            pool, target = Path(work) / "pool.parquet", Path(work) / "labelled"
            pd.DataFrame({"text": texts}).to_parquet(pool, index=False, row_group_size=SHARD)
            label(folder, pool, target, params, Path(work) / "shards")
            return pd.read_parquet(target).to_numpy().argmax(1)

    return answer


def main() -> None:
    """Time all in turns and write `benchmarks/label/results.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a text file with a text per line")
    parser.add_argument("--teacher", type=Path, default=ROOT / "models" / "teacher" / "minilm", help="(%(default)s)")
    parser.add_argument("--texts", type=int, default=8000, help="how many of them (%(default)s)")
    arguments = parser.parse_args()
    texts = arguments.data.read_text("utf-8").splitlines()[: arguments.texts]
    labels = files.read_json(arguments.teacher / "teacher.json")["labels"]
    engines = {
        "pipeline": pipeline(arguments.teacher, labels),
        "potstill, one process, fp32": potstill(arguments.teacher, workers=1, precision="fp32"),
        "potstill": potstill(arguments.teacher),
    }
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    answers: dict[str, np.ndarray] = {}
    for answer in engines.values():
        answer(texts[:64])  # the first time is always slow
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
                "machine": f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, "
                f"{'bf16' if device.bf16('auto') else 'no bf16'}, torch {version('torch')}, "
                f"transformers {version('transformers')}",
            }
        )
        print({key: rows[-1][key] for key in ("engine", "texts_per_second", "ratio_to_pipeline", "same_labels")})
    files.write_json(RESULTS / "results.json", rows)


if __name__ == "__main__":
    main()
