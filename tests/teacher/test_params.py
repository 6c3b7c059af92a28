from pathlib import Path

import pytest
from ruamel.yaml import YAML

from potstill.core.errors import PotstillError
from potstill.teacher.params import TeacherParams
from tests.settings import TEACHER, teacher_settings


def test_a_preset_may_have_its_own_seed_and_adaptation():
    presets = {
        "mine": {"checkpoint": "anywhere"},
        "second": {"checkpoint": "anywhere", "seed": 7},
        "third": {"checkpoint": "anywhere", "mlm_epochs": 0},
    }
    params = teacher_settings(checkpoints=list(presets), presets=presets, seed=3, mlm_epochs=2)
    assert [(params.for_preset(name).seed, params.for_preset(name).mlm_epochs) for name in presets] == [
        (3, 2),
        (7, 2),
        (3, 0),
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"processes": 3}, "batch_size must be divisible by processes times gradient_accumulation_steps"),
        ({"processes": 2, "gradient_accumulation_steps": 16}, "batch_size must be divisible"),
        ({"processes": 0}, "must be at least 1"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused(changes, says, tmp_path):
    path = Path(tmp_path / "params.yaml")
    YAML(typ="safe").dump({"teacher": TEACHER | changes}, path)
    with pytest.raises(PotstillError, match=says):
        TeacherParams.load(path)
