"""Time and memory of pool, label, ensemble and student as the unlabelled texts grow: `make benchmark-scale`.

The texts are random: 5 to 30 words out of 300,000 with the frequencies of a natural language; every twentieth text is a
copy of another in upper case. The teacher is a stub that takes no time. The pool has no variants, and the student is a
bag of words, trained for one epoch.
"""

import runpy
import sys

import stages

STAGES = ("pool", "label", "ensemble", "student")
LABELS = ["calm", "excited", "neither"]
BATCH = 1 << 16
CHANGES = {
    "pool": {"replace": 0, "borrow": 0, "drop": 0, "splice": 0, "generated": 0},
    "label": {"workers": 1, "teachers": ["stub"]},
    "student": {"architecture": "mlp", "epochs": 1, "threads": 1},
}


def prepare(rows: int) -> None:
    """Write the parameters, and prepared data with `rows` unlabelled texts."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet
    from ruamel.yaml import YAML

    from potstill.core import files, paths, tracking
    from potstill.data.dataset import Dataset

    rng = np.random.default_rng(0)
    words = np.array([f"w{number:x}" for number in range(300_000)], object)

    def draw(count: int) -> list[str]:
        ends = rng.integers(5, 31, count).cumsum()
        drawn = words[rng.zipf(1.3, ends[-1]) % len(words)].tolist()
        texts = [" ".join(drawn[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        texts[1::20] = [text.upper() for text in texts[: len(texts[1::20])]]
        return texts

    labelled = [pd.DataFrame({"text": draw(count), "label": np.arange(count) % 3}) for count in (1500, 500, 500)]
    Dataset(LABELS, *labelled, pd.DataFrame({"text": []}, dtype="str")).save(paths.PREPARED)
    schema = pa.schema([("text", pa.large_string())])
    with pa.parquet.ParquetWriter(paths.PREPARED / "unlabelled.parquet", schema) as writer:
        for start in range(0, rows, BATCH):
            writer.write_table(pa.table([draw(min(BATCH, rows - start))], schema=schema))
    params = YAML(typ="safe", pure=True).load(stages.ROOT / paths.PARAMS)
    for section, changes in CHANGES.items():
        params[section] |= changes
    YAML().dump(params, paths.PARAMS)
    files.write_json(paths.TEACHER / "stub" / "teacher.json", {"kind": "table", "labels": LABELS, "max_length": None})
    actual = labelled[1]["label"].to_numpy()
    predictions = paths.METRICS / "teacher" / "stub" / "validation.csv"
    predictions.parent.mkdir(parents=True)
    tracking.write_predictions(predictions, 3.0 * np.eye(len(LABELS))[actual], actual, LABELS)


def label(rows: int) -> None:
    """Run the stage `label` with the stub."""
    import numpy as np

    from potstill.scoring import model

    class Stub(model.Teacher):
        def score(self, texts: list[str]) -> tuple[np.ndarray, int]:
            logits = np.zeros((len(texts), len(LABELS)), np.float32)
            logits[:, 0] = ["w2 " in text for text in texts]
            logits[:, 1] = ["w5 " in text for text in texts]
            return 3 * logits, 0

    model.load = lambda *_: Stub(LABELS, 1)
    sys.argv = ["label.py", "stub"]
    runpy.run_path(str(stages.ROOT / "src" / "label.py"), run_name="__main__")


if __name__ == "__main__":
    steps = {"prepare_data": prepare, "label": label}
    stages.main("scale", "rows", (10_000, 100_000, 1_000_000, 10_000_000), dict.fromkeys(STAGES, ()), steps)
