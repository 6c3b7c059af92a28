"""Time and memory of every stage for 10, 100 and 1,000 classes: `make benchmark-classes`.

The texts are random: each contains a word of its class among words that all classes share. A class has six train texts,
six unlabelled ones, and three each for validation and test. The teacher is a table of probabilities, so the times
include no fine-tuning.
"""

import random
from pathlib import Path
from typing import Any

import stages

STAGES = {
    stage: ("table",) if stage in ("teacher", "label") else ()
    for stage in (
        "prepare", "baseline", "teacher", "pool", "label", "ensemble", "student", "export", "ablate", "evaluate",
        "report",
    )
}  # fmt: skip
PER_CLASS = {"train": 6, "unlabelled": 6, "validation": 3, "test": 3}
SHARED = ["today", "again", "very", "home", "work", "so", "now", "then", "i", "feel"]


def prepare(classes: int) -> None:
    """Write the parameters, the data files and the teacher's table of probabilities."""
    import numpy as np
    import pandas as pd
    from ruamel.yaml import YAML

    from potstill.core import paths

    rng, folder = random.Random(0), Path("mine")
    names = [f"class {number}" for number in range(classes)]
    folder.mkdir()
    labelled = []
    for split, count in PER_CLASS.items():
        ids = [id_ for id_ in range(classes) for _ in range(count)]
        words = ([*rng.choices(SHARED, k=6), f"w{id_}x{rng.randrange(2)}", str(rng.randrange(10**6))] for id_ in ids)
        table = pd.DataFrame({"text": [" ".join(text) for text in words], "label": [names[id_] for id_ in ids]})
        table[["text"] if split == "unlabelled" else ["text", "label"]].to_csv(folder / f"{split}.csv", index=False)
        probabilities = np.full((len(ids), classes), 0.1 / classes)
        probabilities[np.arange(len(ids)), ids] += 0.9
        labelled.append(pd.DataFrame(probabilities, columns=names).assign(text=table["text"]))
    pd.concat(labelled).to_parquet("table.parquet", index=False)
    params = YAML(typ="safe", pure=True).load(stages.ROOT / paths.PARAMS)
    changes = {
        "prepare": {"source": "files", "path": "mine", "unlabelled": ["unlabelled.csv"]},
        "teacher": {"checkpoints": ["table"], "presets": {"table": {"checkpoint": "table.parquet"}}},
        # A table has no probabilities for generated texts.
        "pool": {"replace": 0, "borrow": 0, "drop": 0, "splice": 0, "generated": 0},
        "label": {"teachers": ["table"], "workers": 1},
        "baseline": {"vocab_size": 1150 + 2 * classes},
        "student": {"vocab_size": 1150 + 2 * classes, "threads": 1},
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
    YAML().dump(params, paths.PARAMS)


def summarize(folder: Path) -> dict[str, Any]:
    """Return the sizes and accuracies of what the stages made."""
    from potstill.core import files

    models = files.read_json(folder / "metrics" / "evaluate" / "metrics.json", "models")
    paths = {"onnx": "models/export/model.onnx", "report": "metrics/report/index.html"}
    sizes = {"student": models["student"]["bytes"], **{name: files.size(folder / path) for name, path in paths.items()}}
    return {"bytes": sizes, "accuracy": {name: models[name]["accuracy"] for name in ("student", "hard", "tfidf")}}


if __name__ == "__main__":
    stages.main("classes", "classes", (10, 100, 1000), STAGES, {"prepare_data": prepare}, summarize)
