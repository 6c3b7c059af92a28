"""Time and memory of pool, label, transfer and student as the unlabelled texts grow: `make benchmark-scale`.

The texts are drawn: 5 to 30 words of 300,000 that are as unequally frequent as those of a language, every twentieth
text a copy of another with capitals. The teacher has the interface of any, and answers at once. Variants are left out,
and the student is a bag of words that sees all texts once. Each stage is its script, in a process of its own.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "benchmarks" / ".work" / "scale"
RESULTS = ROOT / "benchmarks" / "scale"
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
STAGES = ("pool", "label", "transfer", "student")
LABELS = ["calm", "excited", "neither"]
BATCH = 1 << 16
CHANGES = {
    "pool": {"replace": 0, "drop": 0, "splice": 0, "generated": 0},
    "label": {"workers": 1, "teachers": ["stub"]},
    "student": {"architecture": "mlp", "epochs": 1},
}


def prepare(folder: Path, rows: int) -> None:
    """Write parameters, and prepared data with so many unlabelled texts, as the stages expect them."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet
    from ruamel.yaml import YAML

    from potstill import files, paths
    from potstill.corpus.dataset import Dataset

    rng = np.random.default_rng(0)
    words = np.array([f"w{number:x}" for number in range(300_000)], object)

    def draw(count: int) -> list[str]:
        ends = rng.integers(5, 31, count).cumsum()
        drawn = words[rng.zipf(1.3, ends[-1]) % len(words)].tolist()
        texts = [" ".join(drawn[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        texts[1::20] = [text.upper() for text in texts[: len(texts[1::20])]]
        return texts

    labelled = [pd.DataFrame({"text": draw(count), "label": np.arange(count) % 3}) for count in (1500, 500, 500)]
    Dataset(LABELS, *labelled, pd.DataFrame({"text": []}, dtype="str")).save(folder / paths.PREPARED)
    schema = pa.schema([("text", pa.large_string())])
    with pa.parquet.ParquetWriter(folder / paths.PREPARED / "unlabelled.parquet", schema) as writer:
        for start in range(0, rows, BATCH):
            writer.write_table(pa.table([draw(min(BATCH, rows - start))], schema=schema))
    params = YAML(typ="safe", pure=True).load(ROOT / paths.PARAMS)
    for section, changes in CHANGES.items():
        params[section] |= changes
    YAML(typ="safe").dump(params, folder / paths.PARAMS)
    files.write_json(folder / paths.TEACHER / "stub" / "teacher.json", {"kind": "stub", "labels": LABELS})


def label() -> None:
    """The stage `label` with a teacher that answers at once."""
    import runpy

    import numpy as np

    from potstill.teacher import model

    def logits(texts: list[str], progress: model.Progress = len, cut: model.Progress = len) -> np.ndarray:
        answers = np.zeros((len(texts), len(LABELS)), np.float32)
        answers[:, 0] = ["w2 " in text for text in texts]
        answers[:, 1] = ["w5 " in text for text in texts]
        return 3 * answers

    model.load = lambda *_: model.Teacher(LABELS, 1, logits)
    sys.argv = ["label.py", "stub"]
    runpy.run_path(str(ROOT / "src" / "label.py"), run_name="__main__")


def measure(rows: int, folder: Path) -> list[dict[str, object]]:
    """Run the stages on so many texts; seconds and memory are those that the stages write down."""
    own = [sys.executable, __file__]
    subprocess.run([*own, "--step", "prepare", "--rows", str(rows)], cwd=folder, check=True)
    found: list[dict[str, object]] = []
    for stage in STAGES:
        command = [*own, "--step", "label"] if stage == "label" else [sys.executable, ROOT / "src" / f"{stage}.py"]
        subprocess.run(command, cwd=folder, check=True)
        (path,) = (folder / "metrics" / stage).rglob("resources.json")
        cost = json.loads(path.read_text())["resources"]
        found.append(
            {
                "stage": stage,
                "rows": rows,
                "seconds": cost["seconds"],
                "peak_megabytes": cost["peak_megabytes"],
                "command": "make benchmark-scale",
                "machine": f"{platform.machine()}, a core of {platform.system()}",
            }
        )
        print({key: found[-1][key] for key in ("stage", "rows", "seconds", "peak_megabytes")}, flush=True)
    return found


def main() -> None:
    """Measure all sizes and write `benchmarks/scale/` and the README's table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="unlabelled texts (%(default)s)")
    parser.add_argument("--step", choices=("prepare", "label"), help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # Imported where they are needed: what a process holds when it starts another counts as the other's memory.
    sys.path.insert(0, str(ROOT / "src"))
    if arguments.step == "prepare":
        prepare(Path(), arguments.rows)
    elif arguments.step == "label":
        label()
    else:
        rows = []
        for size in arguments.sizes:
            shutil.rmtree(WORK, ignore_errors=True)
            WORK.mkdir(parents=True)
            rows += measure(size, WORK)
        import tables
        from potstill import files

        files.write_json(RESULTS / "results.json", rows)
        tables.scale(rows, RESULTS)


if __name__ == "__main__":
    main()
