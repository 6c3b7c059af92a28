"""The article's follow-up data: SST-2, and CoLA, where a tiny student should not ship. `make benchmark-glue`.

`benchmarks/README.md` says how the settings were chosen: on the validation split; the test split is only reported.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import report
from runs import ROOT, Clone, Run, Setting, git, peers, train_all

from potstill import files

RESULTS = ROOT / "benchmarks" / "glue"
SEEDS = range(5)

SETTINGS = {
    "sst2": Setting(
        "SST-2",
        {
            "prepare.unlabelled": ["unlabeled.txt"],
            "prepare.labels": ["negative", "positive"],
            "teacher.epochs": 3,
            "pool.replace": 0.5,
        },
    ),
    "cola": Setting(
        "CoLA",
        {
            "prepare.labels": ["unacceptable", "acceptable"],
            "teacher.epochs": 4,
            "pool.replace": 2.0,
            "pool.drop": 1.0,
            "pool.splice": 1.0,
            "pool.generated": 2.0,
        },
    ),
}

_WIDE = {"bits": 8, "fingerprint": 8, "influence": 0.9}
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp-80k": {"architecture": "mlp", "words": 5000, "hidden": 16, "ngrams": 2, **_WIDE},
    "bigru-3k": {"architecture": "bigru", "words": 755, "embedding": 3, "hidden": 8, **_WIDE},
    "bigru-80k": {"architecture": "bigru", "words": 5000, "embedding": 14, "hidden": 32, **_WIDE},
    "bigru-600k": {"architecture": "bigru", "words": 9000, "embedding": 64, "hidden": 64, **_WIDE},
}
SHIPPED = "bigru-3k"  # the student that the whole pipeline is run with, verdict included


def params(network: str, training: str) -> dict[str, Any]:
    """A network and its training."""
    large = network != "bigru-3k"
    common = {**NETWORKS[network], "dropout": 0.3 if large else 0.1, "learning_rate": 0.005 if large else 0.01}
    if training == "distilled":
        return common | {"epochs": 8, "batch_size": 256}
    return common | {"epochs": 15, "batch_size": 64}


def main() -> None:
    """Train what is missing, run the pipeline once for its verdict, and write `benchmarks/glue/` and the README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the folders sst2 and cola")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="students at a time (default: a core each)")
    arguments = parser.parse_args()
    rows, verdicts = [], {}
    for name, setting in SETTINGS.items():
        if not (arguments.data / name / "train.csv").is_file():
            raise SystemExit(f"error: {arguments.data / name} holds no train.csv: give the folder, DATA=…")
        clone = Clone(name, arguments.data / name)
        folder = clone.prepare(setting)
        wanted = [
            Run(setting, network, training, params(network, training), seed)
            for network in NETWORKS
            for training in ("distilled", "hard")
            for seed in SEEDS
        ]
        rows += peers(setting, folder) + train_all(wanted, {setting.name: folder}, arguments.jobs)
        changes = params(SHIPPED, "distilled")
        commit = clone.run(setting.command(clone.data, "student", changes), f"{setting.experiment}-verdict")
        verdicts[setting.name] = git(clone.folder, "show", f"{commit}:metrics/evaluate/table.md").splitlines()[0]
    kept = [{key: value for key, value in row.items() if key != "file"} for row in rows]
    files.write_json(RESULTS / "results.json", kept)
    report.glue(rows, verdicts, RESULTS)


if __name__ == "__main__":
    main()
