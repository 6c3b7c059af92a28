"""Labelling speed: potstill's teacher against the pipeline of `transformers`. Run it with `make benchmark-label`.

Both label the lines of a text file with the teacher of the last `dvc repro`, in turns. The pipeline has a batch size of
32, single precision, a loaded model, and the GPU or all cores; potstill has the settings of params.yaml, and loads the
model in each of its processes every time. `results.json` keeps the rows of other machines.
"""

import argparse
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
from joblib import cpu_count

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

import tables

from potstill.core import device, files, paths
from potstill.label.logits import label
from potstill.label.params import LabelParams
from potstill.pool.build import SHARD

RESULTS = ROOT / "benchmarks" / "label"
BATCH, ROUNDS = 32, 3


def pipeline(folder: Path, labels: list[str]) -> Callable[[list[str]], np.ndarray]:
    """Return the pipeline of transformers as a function from texts to class ids."""
    from transformers import pipeline

    classify = pipeline(
        "text-classification", model=str(folder), batch_size=BATCH, dtype="float32", device=device.device()
    )
    facts = files.read_json(folder / "teacher.json")

    def classify_ids(texts: list[str]) -> np.ndarray:
        torch.set_num_threads(cpu_count())  # potstill with one process has set it to one
        found = classify(texts, truncation=True, max_length=facts["max_length"])
        return np.array([labels.index(row["label"]) for row in found])

    return classify_ids


def potstill(folder: Path, **changes: Any) -> Callable[[list[str]], np.ndarray]:
    """Return the stage `label`, with the start of its processes, as a function from texts to class ids."""
    params = LabelParams.load(ROOT / paths.PARAMS)
    params = params.model_validate(params.model_dump() | changes)

    def classify_ids(texts: list[str]) -> np.ndarray:
        with TemporaryDirectory() as work:
            pool, target = Path(work) / "pool.parquet", Path(work) / "labelled"
            pd.DataFrame({"text": texts}).to_parquet(pool, index=False, row_group_size=SHARD)
            label(folder, pool, target, params, Path(work) / "shards")
            return pd.read_parquet(target).to_numpy().argmax(1)

    return classify_ids


def machine() -> str:
    """Return the name of the hardware, and whether it supports bfloat16."""
    bf16 = "bfloat16" if device.bf16("auto") else "no bfloat16"
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, {bf16}"
    return f"{cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, {bf16}"


def main() -> None:
    """Time all engines in turns, and write `benchmarks/label/` and the README's table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a text file with a text per line")
    parser.add_argument("--teacher", type=Path, default=ROOT / "models" / "teacher" / "minilm", help="(%(default)s)")
    arguments = parser.parse_args()
    texts = arguments.data.read_text("utf-8").splitlines()
    labels = files.read_json(arguments.teacher / "teacher.json")["labels"]
    engines = {
        "pipeline": pipeline(arguments.teacher, labels),
        "potstill": potstill(arguments.teacher),
    }
    if device.bf16("auto"):
        engines["potstill, fp32"] = potstill(arguments.teacher, precision="fp32")
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    ids: dict[str, np.ndarray] = {}
    for classify in engines.values():
        classify(texts[:64])  # warm-up
    for _ in range(ROUNDS):
        for name, classify in engines.items():
            start = perf_counter()
            ids[name] = classify(texts)
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
                "same_labels": round(float((ids[name] == ids["pipeline"]).mean()), 5),
                "command": "make benchmark-label DATA=$DATA",
                "machine": machine(),
                "versions": ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers")),
            }
        )
        print({key: rows[-1][key] for key in ("engine", "texts_per_second", "ratio_to_pipeline", "same_labels")})
    results = RESULTS / "results.json"
    known = files.read_json(results, kind=list) if results.exists() else []
    others = [row for row in known if row["machine"] != machine()]
    files.write_json(results, others + rows)
    tables.label(others + rows, RESULTS)


if __name__ == "__main__":
    main()
