import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from potstill.runtime import file
from potstill.student.params import AUTO, BY_HAND, Rung, StudentParams
from tests.project import ROOT
from tests.settings import student_settings

SECTION = YAML(typ="safe").load(ROOT / "params.yaml")["student"]
LADDER = {
    "words": {"hidden": 5, "epochs": 3},
    "pieces": {"subwords": True, "vocab_size": 300},
    "layers": {"architecture": "transformer", "layers": 1},
}


def section(**changes):
    return StudentParams(**SECTION | {"ladder": LADDER} | changes)


def test_only_mlp_takes_ngrams():
    with pytest.raises(ValidationError, match="must be 1 unless architecture is mlp"):
        student_settings(architecture="cnn", max_ngram=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocab_size", file.MAX_WORDS + 1),
        ("embedding_rows", file.MAX_WORDS + 1),
        ("max_ngram", file.MAX_NGRAM + 1),
        ("embedding_dim", file.MAX_WIDTH + 1),
        ("hidden", file.MAX_WIDTH + 1),
        ("max_length", file.MAX_LENGTH + 1),
        ("max_length", 0),
        ("weight_bits", 9),
        ("fingerprint_bits", 17),
        ("seed", 2**32),
        ("temperature", float("inf")),
        ("weight_decay", float("inf")),
    ],
)
def test_parameters_beyond_the_limits_of_the_file_are_rejected(key, value):
    with pytest.raises(ValidationError, match=key):
        student_settings(**{key: value})
    with pytest.raises(ValidationError, match=key):
        section(**{key: value})


def test_the_candidates_are_the_rungs_in_their_order():
    found = section().candidates()
    assert list(found) == ["words", "pieces", "layers"]
    assert [params.kind for params in found.values()] == ["table", "subwords", "transformer"]
    assert (found["words"].hidden, found["words"].epochs) == (5, 3)
    assert (found["pieces"].vocab_size, found["pieces"].architecture) == (300, "bigru")
    assert found["layers"].layers == 1
    assert list(section(ladder=dict(reversed(LADDER.items()))).candidates()) == ["layers", "pieces", "words"]


def test_candidates_share_the_keys_that_are_not_of_a_rung():
    for params in section(seed=7, max_length=9, metric="macro_f1", loss="mse", temperature=2.0).candidates().values():
        found = params.seed, params.max_length, params.metric, params.loss, params.temperature
        assert found == (7, 9, "macro_f1", "mse", 2.0)


def test_a_rung_that_is_named_is_the_only_candidate():
    assert section(rung="pieces").candidates() == {"pieces": section().candidates()["pieces"]}


def test_a_key_set_by_hand_changes_the_rung_that_is_named():
    (changed,) = section(rung="words", hidden=6).candidates().values()
    assert (changed.hidden, changed.epochs) == (6, 3)


@pytest.mark.parametrize("key", Rung.model_fields)
def test_any_key_set_by_hand_gives_exactly_one_student(key):
    value = {"architecture": "transformer", "subwords": True, "max_ngram": 1, "dropout": 0.5}.get(key, 4)
    value = 0.5 if key in ("informative_share", "word_dropout", "learning_rate", "weight_decay") else value
    found = section(**{key: value}).candidates()
    assert list(found) == [BY_HAND]
    assert getattr(found[BY_HAND], key) == value


@pytest.mark.parametrize("keys", [{"hidden": 4}, {"subwords": True}, {"architecture": "transformer"}])
def test_one_student_has_the_defaults_of_its_kind_and_not_those_of_a_rung(keys):
    plain = section(ladder={"plain": keys}, rung="plain").candidates()["plain"]
    assert section(**keys).candidates() == {BY_HAND: plain}


def test_an_architecture_by_hand_need_not_fit_other_rungs():
    (bag,) = section(architecture="mlp", max_ngram=2).candidates().values()
    assert (bag.architecture, bag.max_ngram, bag.subwords) == ("mlp", 2, False)
    assert section(architecture="transformer").candidates()[BY_HAND].kind == "transformer"
    assert section(subwords=True).candidates()[BY_HAND].kind == "subwords"


def test_zero_by_hand_is_a_value():
    assert list(section(word_dropout=0.0).candidates()) == [BY_HAND]
    assert section(rung="layers", layers=0).candidates()["layers"].layers == 0
    assert section(subwords=False).candidates()[BY_HAND].kind == "table"


def test_no_bits_and_no_fingerprints_are_numbers():
    (params,) = section(weight_bits=32, fingerprint_bits=0).candidates().values()
    assert (params.weight_bits, params.fingerprint_bits) == (None, None)
    (params,) = section(weight_bits=2, fingerprint_bits=1).candidates().values()
    assert (params.weight_bits, params.fingerprint_bits) == (2, 1)


@pytest.mark.parametrize("changes", [{}, {"hidden": 9}, {"rung": "layers"}, {"architecture": "transformer"}])
def test_the_smallest_is_the_first_table_as_the_ladder_has_it(changes):
    ladder = {"pieces": {"subwords": True}, "words": LADDER["words"], "more": {"hidden": 7}, "layers": LADDER["layers"]}
    name, params = section(ladder=ladder, **changes).smallest
    assert (name, params.hidden, params.epochs) == ("words", 5, changes.get("epochs", 3))


def test_without_a_table_in_the_ladder_the_smallest_has_the_defaults():
    name, params = section(ladder={"pieces": {"subwords": True}}, hidden=9).smallest
    assert (name, params.kind) == (BY_HAND, "table")
    assert params.hidden != 9


@pytest.mark.parametrize("name", [AUTO, BY_HAND])
def test_a_rung_cannot_have_a_name_with_another_meaning(name):
    with pytest.raises(ValidationError, match="rename it"):
        section(ladder={name: {}})
