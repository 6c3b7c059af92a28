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


LLM = {"endpoint": "https://api.example.org/v1", "model": "large"}


def refused(tmp_path, preset):
    path = Path(tmp_path / "params.yaml")
    YAML(typ="safe").dump({"teacher": TEACHER | {"presets": {"mine": preset}}}, path)
    with pytest.raises(PotstillError) as caught:
        TeacherParams.load(path)
    return str(caught.value)


def test_a_preset_may_be_an_llm():
    llm = (
        teacher_settings(presets={"mine": {"llm": LLM | {"endpoint": "https://api.example.org/v1/"}}})
        .presets["mine"]
        .llm
    )
    assert llm.endpoint == "https://api.example.org/v1"
    assert not llm.is_here
    for endpoint in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:80/v1"):
        assert llm.model_copy(update={"endpoint": endpoint}).is_here


@pytest.mark.parametrize(
    ("preset", "says"),
    [
        ({}, "presets.mine must have either a `checkpoint` or an `llm`"),
        ({"checkpoint": "x", "llm": LLM}, "presets.mine must have either a `checkpoint` or an `llm`"),
        ({"llm": {"model": "large"}}, "key `teacher.presets.mine.llm.endpoint` is missing"),
        ({"llm": LLM | {"endpoint": "api.example.org"}}, "llm.endpoint` is 'api.example.org': must be the address"),
        ({"llm": LLM | {"endpoint": "file:///etc/passwd"}}, "must be the address of an API"),
        ({"llm": LLM | {"sample": 3}}, "unknown key `teacher.presets.mine.llm.sample`: did you mean `samples`"),
        ({"llm": LLM | {"samples": 0}}, "`teacher.presets.mine.llm.samples` is 0: must be at least 1 or null"),
        ({"llm": LLM | {"concurrency": 0}}, "must be at least 1"),
        ({"llm": LLM | {"extra_body": {"messages": []}}}, "must not have the key 'messages'"),
        ({"llm": LLM | {"extra_body": {"top_logprobs": 1}}}, "`top_logprobs` must be an integer, at least 2"),
    ],
)
def test_an_llm_that_cannot_be_asked_is_refused(preset, says, tmp_path):
    assert says in refused(tmp_path, preset)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("api_key_env", "sk-secret123"),
        ("api_key_env", "Secret123"),
        ("endpoint", "https://me:secret123@api.example.org/v1"),
        ("endpoint", "https://api.example.org/v1?key=secret123"),
        ("api_key", "secret123"),
    ],
)
def test_a_key_in_the_file_is_refused_and_not_shown(key, value, tmp_path):
    said = refused(tmp_path, {"llm": LLM | {key: value}})
    assert "ecret123" not in said
    assert f"llm.{key}" in said
