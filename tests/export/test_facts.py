"""The facts in a model file."""

from potstill.evaluate.metrics.scores import scores
from potstill.export.facts import collect
from potstill.runtime.model import Student


def test_a_file_holds_its_provenance_and_scores(exported, data, tmp_path):
    exported.save(tmp_path / "a.pot")
    facts = Student.load(tmp_path / "a.pot").facts
    assert facts["rows"] == {"train": 240, "validation": 60, "test": 60, "unlabelled": 100}
    expected = scores(data.test["label"], exported.predict_proba(data.test["text"]))
    assert facts["metrics"]["test"] == expected
    assert facts["sha256"] == {"prepared": "0" * 64}
    assert facts["params"]["hidden"] == 6
    assert facts["teachers"] == {"minilm": 0.95}
    assert facts["untested_teachers"] == ["table"]


def test_a_file_counts_the_texts_that_the_student_was_trained_on(trained, data):
    made, params = trained
    facts = collect(made.student, None, data, {"unlabelled": 200, "replace": 9}, {}, {}, params)
    assert facts["rows"] == {"train": 0, "validation": 60, "test": 60, "unlabelled": 200}
