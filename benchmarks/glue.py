"""SST-2 and CoLA: `make benchmark-glue`.

On SST-2 a small student keeps the teacher's accuracy; on CoLA, which depends on grammar, none does, and the verdict has
to say so. The settings were chosen on the validation split, see `benchmarks/README.md`.
"""

import sys
from dataclasses import dataclass
from typing import Any

import tables
from runs import ROOT, Clone, Run, Setting, committed, git, measure, parser

from potstill.core import files
from potstill.data.sources import SOURCES

RESULTS = ROOT / "benchmarks" / "glue"
SEEDS = range(3)

Network = dict[str, Any]
BAG: Network = {
    "architecture": "mlp", "vocab_size": 5000, "hidden": 16, "informative_share": 0.6, "max_ngram": 2, "weight_bits": 8,
    "fingerprint_bits": 8,
}  # fmt: skip
GRU: Network = {"architecture": "bigru", "informative_share": 0.5, "weight_bits": 8, "fingerprint_bits": 8}

SMALL = {
    "bigru-80k": {**GRU, "vocab_size": 20000, "embedding_rows": 4800, "embedding_dim": 14, "hidden": 32},
    "bigru-3k": {**GRU, "vocab_size": 6000, "embedding_rows": 755, "embedding_dim": 3, "hidden": 8},
    "mlp-80k": BAG,
}


@dataclass(frozen=True)
class Task:
    """Data and students.

    Attributes:
        setting: the data, the teacher and the transfer set.
        networks: by name. The whole pipeline runs with the first one, for its verdict.
        epochs: passes over the transfer set.
    """

    setting: Setting
    networks: dict[str, Network]
    epochs: int


TASKS = {
    "sst2": Task(
        Setting(
            "SST-2",
            {"prepare.label_names": ["negative", "positive"], "prepare.unlabelled": ["unlabeled.txt"]}
            | {"teacher.epochs": 3}
            | {"pool.replace": 2.0, "pool.borrow": 2.0, "pool.drop": 1.0, "pool.splice": 2.0, "pool.generated": 3.0},
        ),
        {"bigru-620k": {**GRU, "vocab_size": 12000, "embedding_dim": 48, "hidden": 64}, **SMALL},
        epochs=4,
    ),
    "cola": Task(
        Setting(
            "CoLA",
            {"prepare.label_names": ["unacceptable", "acceptable"]}
            | {"pool.replace": 2.0, "pool.drop": 1.0, "pool.splice": 1.0, "pool.generated": 3.0},
        ),
        SMALL,
        epochs=8,
    ),
}


def soft(network: Network, epochs: int) -> dict[str, Any]:
    """Return the parameters of a network trained on soft labels."""
    training = network | {"epochs": epochs, "learning_rate": 0.005}
    if network["architecture"] == "mlp":  # a bag of words learns best from natural text
        return training | {"batch_size": 64, "sources": ["train", "unlabelled", "replace", "splice", "borrow"]}
    return training | {"batch_size": 256, "dropout": 0.1, "sources": list(SOURCES)}


def hard(network: Network) -> dict[str, Any]:
    """Return the parameters of the same network trained on hard labels."""
    dropout = 0.0 if network["architecture"] == "mlp" else 0.3
    return network | {"epochs": 20, "batch_size": 64, "learning_rate": 0.005, "dropout": dropout}


def verdict(clone: Clone, task: Task) -> str:
    """Run the whole pipeline with the task's first student, and return its verdict."""
    clone.resume(task.setting)
    [network, *_] = task.networks.values()
    command = task.setting.command(clone.data, "student", soft(network, task.epochs))
    commit = clone.run(command, f"{task.setting.experiment}-whole")
    return git(clone.folder, "show", f"{commit}:metrics/evaluate/table.md").splitlines()[0]


def main() -> None:
    """Run what is missing and write `benchmarks/glue/` and the tables in docs/results.md."""
    options = parser(__doc__, "the folder with sst2/ and cola/")
    options.add_argument("--task", choices=TASKS, action="append", help="do these alone (default: all)")
    arguments = options.parse_args()
    for name in arguments.task or TASKS:
        if not (arguments.data / name / "train.csv").is_file():
            raise SystemExit(f"error: {arguments.data}: no {name}/train.csv in it. Set DATA to the folder that has it.")
    for name in arguments.task or TASKS:
        print(name, file=sys.stderr)
        task, clone = TASKS[name], Clone(name, arguments.data / name)
        runs = [
            Run(task.setting, model, training, params, seed)
            for model, network in task.networks.items()
            for training, params in (("distilled", soft(network, task.epochs)), ("hard", hard(network)))
            for seed in SEEDS
        ]
        rows = measure(clone, runs, arguments.jobs, compared=True)
        sentence = verdict(clone, task)
        files.write_json(RESULTS / f"{name}.json", {"verdict": sentence, "rows": committed(rows)})
        tables.glue(name, rows, sentence, RESULTS)


if __name__ == "__main__":
    main()
