"""Time and memory of every stage for 10, 100 and 1,000 classes: `make benchmark-classes`.

The texts are drawn: each holds a word of its class among words that all classes share. A class has six train texts, six
unlabelled ones, and three each for validation and test. The teacher is a table of probabilities, so no fine-tuning is
in the times. Each stage is its script, in a process of its own.
"""

import argparse
import json
import platform
import random
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "benchmarks" / ".work" / "classes"
RESULTS = ROOT / "benchmarks" / "classes"
SIZES = (10, 100, 1000)
STAGES = (
    "prepare", "baseline", "teacher", "pool", "label", "transfer", "student", "export", "ablate", "evaluate", "report",
)  # fmt: skip
PER_CLASS = {"train": 6, "unlabelled": 6, "validation": 3, "test": 3}
SHARED = ["today", "again", "very", "home", "work", "so", "now", "then", "i", "feel"]


def prepare(folder: Path, classes: int) -> None:
    """Write parameters, files and a table of the teacher's answers for so many classes."""
    import numpy as np
    import pandas as pd
    from ruamel.yaml import YAML

    from potstill import paths

    rng = random.Random(0)
    names = [f"class {number}" for number in range(classes)]
    (folder / "mine").mkdir()
    answered = []
    for split, number in PER_CLASS.items():
        ids = [number for number in range(classes) for _ in range(PER_CLASS[split])]
        words = ([*rng.choices(SHARED, k=6), f"w{held}x{rng.randrange(2)}", str(rng.randrange(10**6))] for held in ids)
        table = pd.DataFrame({"text": [" ".join(text) for text in words], "label": [names[held] for held in ids]})
        table[["text"] if split == "unlabelled" else ["text", "label"]].to_csv(
            folder / f"mine/{split}.csv", index=False
        )
        sure = np.full((len(ids), classes), 0.1 / classes)
        sure[np.arange(len(ids)), ids] += 0.9
        answered.append(pd.DataFrame(sure, columns=names).assign(text=table["text"]))
    pd.concat(answered).to_parquet(folder / "answers.parquet", index=False)
    params = YAML(typ="safe", pure=True).load(ROOT / paths.PARAMS)
    changes = {
        "prepare": {"source": "files", "path": "mine", "unlabelled": ["unlabelled.csv"]},
        "teacher": {"checkpoints": ["table"], "presets": {"table": {"checkpoint": "answers.parquet"}}},
        # A table has no answers to texts that are made.
        "pool": {"replace": 0, "drop": 0, "splice": 0, "generated": 0},
        "label": {"teachers": ["table"], "workers": 1},
        "baseline": {"vocab_size": 1150 + 2 * classes},
        "student": {"vocab_size": 1150 + 2 * classes},
        "ablate": {
            "steps": 100,
            "architectures": ["mlp"],
            "transfer_shares": [0.3],
            "label_shares": [0.3],
            "n_jobs": 1,
        },
    }
    for section, values in changes.items():
        params[section] |= values
    YAML(typ="safe").dump(params, folder / paths.PARAMS)


def measure(classes: int, folder: Path) -> list[dict[str, object]]:
    """Run all stages for so many classes; seconds and memory are those that the stages write down."""
    own = [sys.executable, __file__, "--prepare", str(classes)]
    subprocess.run(own, cwd=folder, check=True)
    found: list[dict[str, object]] = []
    for stage in STAGES:
        command = [sys.executable, str(ROOT / "src" / f"{stage}.py"), *["table"] * (stage in ("teacher", "label"))]
        subprocess.run(command, cwd=folder, check=True)
        (path,) = (folder / "metrics" / stage).rglob("cost.json")
        cost = json.loads(path.read_text())["cost"]
        row = {key: cost[key] for key in ("seconds", "core_seconds", "peak_megabytes")}
        found.append({"stage": stage, "classes": classes, **row, "command": "make benchmark-classes"})
        print(found[-1], flush=True)
    models = json.loads((folder / "metrics" / "evaluate" / "metrics.json").read_text())["models"]
    sizes = {"student": models["student"]["bytes"]}
    sizes |= {
        name: (folder / path).stat().st_size
        for name, path in (("onnx", "models/export/model.onnx"), ("report", "metrics/report/index.html"))
    }
    accuracies = {name: models[name]["accuracy"] for name in ("student", "hard", "tfidf")}
    machine = f"{platform.machine()}, {platform.system()}"
    return [*found, {"stage": "all", "classes": classes, "bytes": sizes, "accuracy": accuracies, "machine": machine}]


def main() -> None:
    """Measure all sizes and write `benchmarks/classes/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="classes (%(default)s)")
    parser.add_argument("--prepare", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # Imported where they are needed: what a process holds when it starts another counts as the other's memory.
    sys.path.insert(0, str(ROOT / "src"))
    if arguments.prepare:
        prepare(Path(), arguments.prepare)
        return
    rows = []
    for size in arguments.sizes:
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        rows += measure(size, WORK)
    import tables
    from potstill import files

    files.write_json(RESULTS / "results.json", rows)
    tables.classes(rows, RESULTS)


if __name__ == "__main__":
    main()
