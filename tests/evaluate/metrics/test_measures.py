"""What stages measured, read by other stages: a damaged value is one line that names the file and the key."""

import json
import math

import pytest

from potstill.core.errors import PotstillError
from potstill.evaluate.metrics import measures
from tests.report.inputs import rung

MODEL = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 1, "macro_f1": 0.9, "calibration_error": 0.1,
         "bytes": 9, "parameters": 5, "kind": "student", "agreement": None, "other": "x"}  # fmt: skip
MODELS = dict.fromkeys(("student", "tfidf", "hard"), MODEL)
TRIAL = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 1.0, "texts": 5, "validation_accuracy": 0.5}
COST = {"seconds": 1.5, "core_seconds": 2, "peak_megabytes": 3.0}
VERDICT = {
    "decision": "ship", "reasons": [{"status": "met", "text": "x"}], "next_steps": [{"text": "y", "command": "z"}],
}  # fmt: skip
LADDER = [rung("one", "chosen", 1000, 0.9, -0.01), rung("two", "not needed")]
RIGHT = [
    (measures.Scores, MODELS),
    (measures.Scores, MODELS | {"table": MODEL | {"parameters": None, "kind": "teacher"}}),
    (measures.Ablation, {}),
    (measures.Ablation, {"vocabulary": {"frequent": TRIAL}, "hard": {"0.3": TRIAL}, "pool": {"1": TRIAL}}),
    (measures.Resources, COST),
    (measures.Shares, {"test": 0, "train": 0.5}),
    (measures.Verdict, VERDICT),
    (measures.Verdict, VERDICT | {"decision": "cannot tell yet", "next_steps": []}),
    (measures.Ladder, LADDER),
    (measures.Timings, {"a": {"texts_per_second": 5.0, "milliseconds_per_text": 0.0, "batch": 60}}),
]
WRONG = [
    (measures.Shares, {"test": [None]}, "facts.test"),
    (measures.Shares, {"test": 1.5}, "facts.test"),
    (measures.Shares, {"test": True}, "facts.test"),
    (measures.Shares, {"test": math.nan}, "facts.test"),
    (measures.Shares, [], "facts"),
    (measures.Resources, COST | {"seconds": "x"}, "facts.seconds"),
    (measures.Resources, COST | {"seconds": "1.5"}, "facts.seconds"),
    (measures.Resources, COST | {"seconds": math.inf}, "facts.seconds"),
    (measures.Resources, {"seconds": 1.5}, "facts.core_seconds"),
    (measures.Ablation, {"pool": {"1": TRIAL | {"accuracy_low": {}}}}, "facts.pool.1.accuracy_low"),
    (measures.Ablation, {"pool": {"1": TRIAL | {"texts": 0}}}, "facts.pool.1.texts"),
    (measures.Ablation, {"hard": {"0.3": {}}}, "facts.hard.0.3.accuracy"),
    (measures.Ablation, {"vocabulary": {}}, "facts.vocabulary.frequent"),
    (measures.Scores, MODELS | {"student": MODEL | {"parameters": {"a": None}}}, "facts.student.parameters"),
    (measures.Scores, MODELS | {"student": MODEL | {"parameters": None}}, "facts"),
    (measures.Scores, {"tfidf": MODEL}, "facts"),
    (measures.Verdict, VERDICT | {"decision": "perhaps"}, "facts.decision"),
    (measures.Verdict, VERDICT | {"reasons": [{"status": True, "text": "y"}]}, "facts.reasons.0.status"),
    (measures.Verdict, VERDICT | {"next_steps": [{"text": "x"}]}, "facts.next_steps.0.command"),
    (measures.Ladder, [], "facts"),
    (measures.Ladder, LADDER[1:], "facts"),
    (measures.Ladder, LADDER * 2, "facts"),
    (measures.Ladder, [rung("one", "chosen", 1000)], "facts"),
    (measures.Ladder, [rung("one", "chosen", 0, 0.9)], "facts.0.bytes"),
    (measures.Ladder, [rung("one", "best", 1000, 0.9)], "facts.0.status"),
    (measures.Timings, {"a": {"texts_per_second": 0, "milliseconds_per_text": 1}}, "facts.a.texts_per_second"),
]


@pytest.mark.parametrize(("kind", "value"), RIGHT)
def test_what_is_right_is_read_as_it_is(kind, value, tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"facts": value}))
    found = measures.read(kind, tmp_path / "metrics.json", "facts")
    assert json.loads(json.dumps(found)) == value


@pytest.mark.parametrize(("kind", "value", "key"), WRONG)
def test_what_is_wrong_is_named(kind, value, key, tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"facts": value}))
    with pytest.raises(PotstillError) as caught:
        measures.read(kind, tmp_path / "metrics.json", "facts")
    assert str(caught.value).startswith(f"{tmp_path / 'metrics.json'}: it cannot be read (`{key}")
    assert "\n" not in str(caught.value)


def test_what_is_no_accuracy_has_another_name_and_is_read_as_one(tmp_path):
    both = {"models": {"student": MODEL | {"agreement": 0.9}, "accuracy": TRIAL}, "accuracy": 0.9}
    written = measures.with_agreement(both, ["test", "validation"])
    assert set(written) == {"models", "agreement"}
    assert set(written["models"]) == {"student", "accuracy"}  # the names of models stay
    expected = {"agreement", "agreement_low", "agreement_high", "texts", "validation_agreement"}
    assert set(written["models"]["accuracy"]) == expected
    validation = measures.with_agreement(TRIAL, ["validation"])
    assert (validation["accuracy"], validation["validation_agreement"]) == (0.9, 0.5)
    assert measures.with_agreement(both, []) == both
    (tmp_path / "metrics.json").write_text(json.dumps(written))
    found = measures.read(dict[str, measures.Accuracy], tmp_path / "metrics.json", "models")
    assert {name: found["student"][name] for name in MODEL} == MODEL | {"agreement": 0.9}
    assert {name: found["accuracy"][name] for name in TRIAL} == TRIAL
