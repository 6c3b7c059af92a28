"""Labelling speed: potstill's teacher against the pipeline of `transformers`. Run it with `make benchmark-label`.

Both label the lines of a text file with fine-tuned teachers, such as that of the last `dvc repro`, in turns. The
pipeline has a batch size of 32, single precision, a loaded model, and the GPU or all cores; potstill has the settings
of params.yaml, and loads the model in each of its processes every time. `results.json` keeps the rows of other machines
and teachers.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import tables
import torch
from joblib import cpu_count
from runs import ROOT, ratios, time_in_turns

from potstill.core import device, files, paths
from potstill.label.logits import label
from potstill.label.params import LabelParams
from potstill.pool.build import SHARD
from potstill.scoring.compiled import import_openvino

RESULTS = ROOT / "benchmarks" / "label"
BATCH, ROUNDS = 32, 3


def pipeline(classify: Callable[..., Any], facts: dict[str, Any], texts: list[str]) -> np.ndarray:
    """Return the class ids of texts by a pipeline of transformers."""
    torch.set_num_threads(cpu_count())  # potstill with one process has set it to one
    found = classify(texts, truncation=True, max_length=facts["max_length"])
    return np.array([facts["labels"].index(row["label"]) for row in found])


def potstill(folder: Path, params: LabelParams, texts: list[str]) -> np.ndarray:
    """Return the class ids of texts by the stage `label`, with the start of its processes."""
    with TemporaryDirectory() as work:
        pool, target = Path(work) / "pool.parquet", Path(work) / "labelled"
        pd.DataFrame({"text": texts}).to_parquet(pool, index=False, row_group_size=SHARD)
        label(folder, pool, target, params, Path(work) / "shards")
        return pd.read_parquet(target).to_numpy().argmax(1)


def machine() -> str:
    """Return the name of the hardware, and whether it supports AMX and bfloat16."""
    bf16 = "bfloat16" if device.bf16("auto") else "no bfloat16"
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, {bf16}"
    amx = ", AMX" if torch.cpu._is_amx_tile_supported() else ""
    return f"{cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}{amx}, {bf16}"


def measure(teacher: Path, texts: list[str], command: str) -> list[dict[str, Any]]:
    """Time all engines with a teacher in turns; return a row for each, with the command that repeats it."""
    import transformers

    facts = files.read_json(teacher / "teacher.json")
    params = LabelParams.load(ROOT / paths.PARAMS)
    classify = transformers.pipeline(
        "text-classification", model=str(teacher), batch_size=BATCH, dtype="float32", device=device.device()
    )
    engines = {"pipeline": partial(pipeline, classify, facts), "potstill": partial(potstill, teacher, params)}
    if device.bf16("auto"):
        fp32 = params.model_copy(update={"precision": "fp32"})
        engines["potstill, fp32"] = partial(potstill, teacher, fp32)
    for engine in engines.values():
        engine(texts[:64])  # warm-up
    seconds, ids = time_in_turns({name: partial(engine, texts) for name, engine in engines.items()}, ROUNDS)
    packages = ["torch", "transformers"]
    if import_openvino():
        packages.append("openvino")
    rows = []
    for name, values in seconds.items():
        ratio, lowest, highest = ratios(seconds["pipeline"], values)
        rows.append(
            {
                "teacher": teacher.name,
                "engine": name,
                "texts": len(texts),
                "texts_per_second": round(len(texts) / statistics.median(values), 1),
                "ratio_to_pipeline": ratio,
                "lowest_ratio": lowest,
                "highest_ratio": highest,
                "same_labels": round(float((ids[name] == ids["pipeline"]).mean()), 5),
                "command": command,
                "machine": machine(),
                "versions": ", ".join(f"{name} {version(name)}" for name in packages),
            }
        )
        shown = ("teacher", "engine", "texts_per_second", "ratio_to_pipeline", "same_labels")
        print({key: rows[-1][key] for key in shown})
    return rows


def main() -> None:
    """Measure teachers one after another, and write `benchmarks/label/` and the table in docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a text file with a text per line")
    default = [ROOT / "models" / "teacher" / "minilm"]
    parser.add_argument("--teachers", type=Path, nargs="+", default=default, help="folders of fine-tuned teachers")
    parser.add_argument("--texts", type=int, help="only the first texts of the file")
    arguments = parser.parse_args()
    texts = arguments.data.read_text("utf-8").splitlines()[: arguments.texts]
    command = "make benchmark-label DATA=$DATA"
    if arguments.texts:
        command += f" TEXTS={arguments.texts}"
    results = RESULTS / "results.json"
    rows = files.read_json(results, kind=list) if results.exists() else []
    for teacher in arguments.teachers:
        measured = (machine(), teacher.name)
        rows = [row for row in rows if (row["machine"], row["teacher"]) != measured] + measure(teacher, texts, command)
        files.write_json(results, rows)
    tables.label(rows, RESULTS)


if __name__ == "__main__":
    main()
