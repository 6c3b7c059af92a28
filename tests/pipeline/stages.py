"""Run the scripts of the stages in this process."""

import importlib
import sys

from ruamel.yaml import YAML

from potstill.core import paths
from tests.project import ROOT

STAGES = ("prepare", "baseline", "teacher", "pool", "label", "ensemble", "student", "export", "evaluate")


NETWORK = {
    "architecture": "mlp",
    "embedding_dim": 8,
    "hidden": 16,
    "vocab_size": 500,
    "epochs": 25,
    "learning_rate": 0.03,
    "weight_bits": 8,
}


def run_stages(monkeypatch, network, changes=None, stages=STAGES, **prepare):
    """Run stages in this process, on the files in `mine` and with the table `answers.csv` as teacher.

    Args:
        network: parameters of the student's and the baseline's networks.
        changes: of other parameters, by section.
        stages: their names.
        prepare: parameters of `prepare`.
    """
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params["prepare"] |= {"source": "files", "path": "mine"} | prepare
    params["baseline"] |= network
    params["teacher"] |= {"checkpoints": ["mine"], "presets": {"mine": {"checkpoint": "answers.csv"}}}
    params["pool"] |= {"replace": 0, "borrow": 0, "drop": 0, "splice": 0, "generated": 0}
    params["label"] |= {"teachers": ["mine"]}
    params["student"] |= network
    params["evaluate"] |= {"timing_seconds": 0.01}
    for section, values in (changes or {}).items():
        params[section] |= values
    YAML().dump(params, paths.PARAMS)  # which, unlike `safe`, keeps the order of the ladder
    teachers = {"teacher": params["teacher"]["checkpoints"], "label": params["label"]["teachers"]}
    for stage in stages:
        for arguments in [[name] for name in teachers[stage]] if stage in teachers else [[]]:
            monkeypatch.setattr(sys, "argv", [stage, *arguments])
            importlib.import_module(stage).main()
