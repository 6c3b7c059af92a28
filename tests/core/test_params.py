"""Errors in `params.yaml` are one line: the key, what is wrong, and how to fix or undo it."""

import pytest
from ruamel.yaml import YAML

from potstill.core.errors import PotstillError
from potstill.core.params import RENAMED, SECTIONS, section
from tests.project import ROOT

yaml = YAML(typ="safe", pure=True)
CASES = {
    "teacher.checkpoints=roberta": "is 'roberta': must be a list: type -S 'teacher.checkpoints=[roberta]'. ",
    "teacher.checkpoints=[rob]": "`teacher`: `rob` in checkpoints is not a key of teacher.presets (found: minilm, min",
    "teacher.checkpoints=[]": "`teacher.checkpoints` is []: must not be empty. ",
    "teacher.checkpoints=null": "`teacher.checkpoints` is null: must be a list. ",
    "teacher.presets=3": "`teacher.presets` is 3: must be a mapping of keys to values. ",
    "teacher.presets.minilm=3": "`teacher.presets.minilm` is 3: must be a mapping of keys to values. ",
    "teacher.presets.minilm.learnig_rate=1": "unknown key `teacher.presets.minilm.learnig_rate`: did you mean `lear",
    "teacher.presets.minilm.learning_rate=true": "minilm.learning_rate` is true: must not be true or false. ",
    "teacher.presets.minilm.seed=-1": "`teacher.presets.minilm.seed` is -1: must be at least 0 or null. ",
    "prepare.tets=1": "unknown key `prepare.tets`: did you mean `text` or `test`?",
    "prepare.hub.x=1": "unknown key `prepare.hub.x`: remove it; known are dataset, config, revision. ",
    "prepare.hub.dataste=1": "unknown key `prepare.hub.dataste`: did you mean `dataset`?",
    "prepare.hub=null": "`prepare.hub` is null: must be a mapping of keys to values. ",
    "prepare.demo.train=true": "`prepare.demo.train` is true: must not be true or false. ",
    "prepare.demo.train=[3]": "`prepare.demo.train` is [3]: must be an integer: type -S prepare.demo.train=3. ",
    "prepare.label_names=a": "is 'a': must be a list or null: type -S 'prepare.label_names=[a]'. ",
    "prepare.label_names=[a]": "`prepare.label_names` is ['a']: must be at least two distinct names. ",
    "prepare.label_names=[true, b]": "`prepare.label_names[0]` is true: must be text (put it into quotes). ",
    "prepare.path=3": "`prepare.path` is 3: must be text (put it into quotes). ",
    "prepare.source=file": "`prepare.source` is 'file': must be 'demo', 'files' or 'hub'. ",
    "prepare.multi_label=maybe": "`prepare.multi_label` is 'maybe': must be true or false. ",
    "student.hidden=[16]": "`student.hidden` is [16]: must be an integer or null: type -S student.hidden=16. ",
    "student.hidden=[8, 16]": "an integer or null; for several experiments type --queue -S 'student.hidden=8,16'. ",
    "student.seed=null": "`student.seed` is null: must be an integer. ",
    "student.hidden=true": "`student.hidden` is true: must not be true or false. ",
    "student.hidden=8.5": "`student.hidden` is 8.5: must be an integer or null. ",
    "student.hidden=-1": "`student.hidden` is -1: must be at least 1 or null. ",
    "student.hiden=3": "unknown key `student.hiden`: did you mean `hidden`?",
    "student.1=3": "unknown key `student.1`: remove it; known are architecture, subwords, ",
    "student.learning_rate=fast": "`student.learning_rate` is 'fast': must be a number or null. ",
    "student.learning_rate=2": "`student.learning_rate` is 2: must be at most 1 or null. ",
    "student.temperature=0": "`student.temperature` is 0: must be above 0. ",
    "student.temperature=.inf": "must be a finite number. ",
    "student.max_ngram=3": "`student`: max_ngram must be 1 unless architecture is mlp and subwords is false. ",
    "student.weight_bits=9": "`student.weight_bits` is 9: must be 2 to 8, or 32 for floats. ",
    "student.architecture=gru": "'gru': must be 'mlp', 'attention', 'cnn', 'bigru' or 'transformer' or null. ",
    "student.rung=huge": "`student`: `huge` in rung is not a key of student.ladder (found: qr, small, ",
    "student.rung=3": "`student.rung` is 3: must be text (put it into quotes). ",
    "student.ladder=null": "`student.ladder` is null: must be a mapping of keys to values. ",
    "student.ladder={}": "`student.ladder` is {}: must not be empty. ",
    "student.ladder.small=8": "`student.ladder.small` is 8: must be a mapping of keys to values. ",
    "student.ladder.small.hiden=8": "unknown key `student.ladder.small.hiden`: did you mean `hidden`?",
    "student.ladder.small.hidden=0": "`student.ladder.small.hidden` is 0: must be at least 1 or null. ",
    "student.ladder.small.subwords=maybe": "ladder.small.subwords` is 'maybe': must be true or false or null. ",
    "student.ladder.small.max_ngram=2": "`student`: rung `small`: max_ngram must be 1 unless architecture is mlp ",
    "student.ladder.medium.embedding_rows=9": "rung `medium`: embedding_rows must be null with subwords, each of ",
    "student.ladder.transformer.subwords=true": "rung `transformer`: subwords must be false with architecture tr",
    "student.ladder.auto={hidden: 8}": "`student`: a rung of ladder cannot be named `auto` or `by hand`: rename it. ",
    "student.tolerance=-1": "`student.tolerance` is -1: must be at least 0. ",
    "student.sources=train": "must be a list or null: type -S 'student.sources=[train]'. ",
    "student.sources=[trian]": "`student.sources[0]` is 'trian': must be 'train', 'unlabelled', ",
    "student.seed=4294967296": "must be below 4294967296. ",
    "student=3": "`student` is 3: must be a mapping of keys to values. ",
    "student=null": "the section `student:` is missing. Restore it from Git",
    "studnet.hidden=3": "unknown section `studnet`: did you mean `student`?",
    "mine.x=3": "unknown section `mine`: remove it; known are prepare, baseline, ",
    "baseline.class_weight=balance": "`baseline.class_weight` is 'balance': must be 'balanced' or null. ",
    "ablate.transfer_shares=[0.3, 2]": "`ablate.transfer_shares[1]` is 2: must be below 1. ",
    "ablate.transfer_shares=0.3": "must be a list: type -S 'ablate.transfer_shares=[0.3]'. ",
    "evaluate.non_inferiority_margin=1%": "`evaluate.non_inferiority_margin` is '1%': must be a number. ",
}


@pytest.fixture
def load(tmp_path):
    """Return a function that sets a key in a copy of `params.yaml`, and loads its section."""
    document = yaml.load(ROOT / "params.yaml")

    def loaded(setting):
        key, value = setting.split("=", 1)
        *parents, last = key.split(".")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = yaml.load(value)
        YAML().dump(document, tmp_path / "params.yaml")
        name = key.split(".")[0]
        return section(name if name in SECTIONS else "student").load(tmp_path / "params.yaml")

    return loaded


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new"), [(name, *keys) for name, renamed in RENAMED.items() for keys in renamed.items()]
)
def test_a_renamed_key_gives_its_new_name(load, tmp_path, name, old, new):
    with pytest.raises(PotstillError, match=rf"params.yaml: {name}.{old} is now {name}.{new}\. Correct"):
        load(f"{name}.{old}=1")  # next to the new one
    document = yaml.load(ROOT / "params.yaml")
    document[name][old] = document[name].pop(new)
    YAML().dump(document, tmp_path / "params.yaml")
    with pytest.raises(PotstillError, match=rf"params.yaml: {name}.{old} is now {name}.{new}\. Correct"):
        section(name).load(tmp_path / "params.yaml")


def test_a_renamed_key_of_a_preset_gives_its_new_name(load):
    with pytest.raises(PotstillError, match=r"teacher.presets.minilm.adapt is now teacher.presets.minilm.mlm_epochs\."):
        load("teacher.presets.minilm.adapt=3")
    with pytest.raises(PotstillError, match=r"unknown key `prepare.demo.labels`"):
        load("prepare.demo.labels=3")


def test_all_sections_are_known():
    assert set(SECTIONS) == set(yaml.load(ROOT / "params.yaml"))


@pytest.mark.parametrize("setting", CASES)
def test_errors_name_the_key_and_the_remedy_without_jargon(load, setting):
    with pytest.raises(PotstillError) as caught:
        load(setting)
    line = str(caught.value)
    assert CASES[setting] in line
    assert "git" in line.lower()
    for jargon in ("Input should", "Value error", "pydantic", "dictionary", "?."):
        assert jargon not in line


def test_a_stage_checks_the_sections_of_later_stages(load, tmp_path):
    with pytest.raises(PotstillError):
        load("student.max_length=70000")
    with pytest.raises(PotstillError, match=r"`student.max_length` is 70000: must be at most 65535"):
        section("prepare").load(tmp_path / "params.yaml")


@pytest.mark.parametrize("value", ["1e-5", '"1e-5"', "0.00001", "1.0E-05"])
def test_a_number_may_be_written_as_dvc_writes_it(load, value):
    assert load(f"student.learning_rate={value}").learning_rate == 1e-5


def test_a_missing_key_has_its_default_and_one_without_is_named(tmp_path):
    document = yaml.load(ROOT / "params.yaml")
    del document["student"]["loss"]
    YAML().dump(document, tmp_path / "params.yaml")
    assert section("student").load(tmp_path / "params.yaml").loss == "kl"
    del document["teacher"]["presets"]["bert"]["checkpoint"]
    YAML().dump(document, tmp_path / "params.yaml")
    with pytest.raises(PotstillError, match=r"presets.bert must have either a `checkpoint` or an `llm`"):
        section("teacher").load(tmp_path / "params.yaml")


@pytest.mark.parametrize("name", SECTIONS)
def test_params_yaml_shows_every_key_with_its_default(name):
    model, document = section(name), yaml.load(ROOT / "params.yaml")[name]
    assert set(document) == set(model.model_fields)
    assert model() == model.load(ROOT / "params.yaml")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"student:\n  hidden: 3\n  hidden: 4\n", 'line 3 is not valid YAML: found duplicate key "hidden"'),
        (b"student: [\n", "line 2 is not valid YAML"),
        (b"student:\n\thidden: 3\n", "line 2 is not valid YAML"),
        (b"student: \xff\n", "is not UTF-8"),
        (b"student: \x00\n", "is not valid YAML"),
        (b"student:\n  seed: 2024-13-45\n", "line 2 is not valid YAML: month must be in 1..12"),
        (b"student:\n  seed: 2024-01-01T25:00:00\n", "line 2 is not valid YAML: hour must be in 0..23"),
        (b"student:\n  seed: " + b"9" * 5000, "line 2 is not valid YAML: Exceeds the limit (4300 digits)"),
        (b"student:\n  seed: 0x" + b"f" * 5000, "line 2 is not valid YAML: Exceeds the limit (4300 digits)"),
        (b"student:\n  seed: !!int abc\n", "line 2 is not valid YAML: invalid literal for int()"),
        (b"student:\n  seed: !!float x\n", "line 2 is not valid YAML: could not convert string to float"),
        (b"student:\n  seed: !!bool x\n", "line 2 is not valid YAML: KeyError: 'x'"),
        (b"student:\n  ? [[3]]\n  : 4\n", "line 2 is not valid YAML: TypeError: unhashable type"),
        (b"student: " + b"[" * 1000, "is not valid YAML: its lists or mappings are nested too deeply"),
        (b"", "has no sections. Restore it from Git"),
        (b"- student\n", "has no sections. Restore it from Git"),
    ],
)
def test_errors_in_yaml_have_their_line(tmp_path, content, says):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(PotstillError) as caught:
        section("student").load(tmp_path / "params.yaml")
    assert says in str(caught.value)
    assert "http" not in str(caught.value)
