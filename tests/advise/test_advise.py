"""Advice before a full run: the rules on given numbers, and the command on tiny data."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from potstill.advise.curve import Curve
from potstill.advise.decide import choose, decide
from potstill.advise.measure import CANDIDATES, measure
from potstill.advise.report import markdown
from potstill.advise.sample import draw
from potstill.baseline.params import BaselineParams
from potstill.core import paths
from potstill.core.errors import PotstillError
from potstill.data.dataset import Dataset
from potstill.student.params import StudentParams
from tests.conftest import FEELINGS
from tests.project import ROOT

SURE, NONE, WORSE = (0.1, 0.08, 0.12), (0.0, -0.01, 0.01), (-0.1, -0.12, -0.08)


def test_a_power_law_is_fitted():
    curve = Curve.fit([1000, 2000, 4000], [0.4, 0.2, 0.1], 500)
    assert (curve.power, curve.largest) == (pytest.approx(1), 4000)
    assert curve.error(8000) == pytest.approx(0.05)
    assert curve.gain(8000) == pytest.approx(0.025)
    size = curve.saturation(0.005, 1e9)
    assert curve.gain(size) == pytest.approx(0.005)
    assert curve.saturation(0.005, 10_000) == 10_000


def test_a_curve_that_does_not_fall_gains_nothing():
    curve = Curve.fit([1000, 2000, 4000], [0.2, 0.21, 0.22], 500)
    assert curve.gain(4000) < 0
    assert curve.saturation(0.005, 1e9) == 4000


def test_an_error_of_0_counts_as_half_a_text():
    assert Curve.fit([10, 20], [0.0, 0.0], 100).error(20) == pytest.approx(0.005)


def model(name, training, texts, accuracy):
    scored = {"accuracy": accuracy, "accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.02, "matthews": 0.5}
    return {"name": name, "training": training, "texts": texts, "parameters": 4000, **scored}


def numbers(paired=None, wos=0.1, train_as_unlabelled=False, accuracies=(0.75, 0.8, 0.84)):
    """A made-up measurement. `paired` sets differences: (difference, low, high)."""
    names = {
        "teacher, TF-IDF": SURE,
        "teacher, on half": SURE,
        "bigru, bag": SURE,
        "large bigru, bigru": NONE,
    }
    for student in ("bag", "bigru", "large bigru"):
        names |= {f"{student}, teacher": WORSE, f"{student}, TF-IDF": SURE}
        names |= {f"{student}, on a quarter": SURE, f"{student}, on labels": SURE}
    names |= paired or {}
    sizes = (1500, 3000, 6000)
    models = [
        model("teacher", "hard", 750, 0.8),
        model("teacher", "hard", 1500, 0.9),
        model("TF-IDF", "hard", 1500, 0.6),
    ]
    for name in ("bag", "bigru"):
        models += [model(name, "distilled", *point) for point in zip(sizes, accuracies, strict=True)]
    models.append(model("large bigru", "distilled", 6000, accuracies[-1]))
    rows = {"train": 8000, "unlabelled": 0 if train_as_unlabelled else 20_000, "sample": 1500, "selection": 500}
    return {
        "rows": rows | {"validation": 1000, "transfer": 6000},
        "classes": 2,
        "majority": 0.5,
        "train_as_unlabelled": train_as_unlabelled,
        "models": models,
        "word_order": {"wos": wos, "survived": 1 - wos / 2, "texts": 1000},
        "out_of_vocabulary": {part: {"words": 0.1, "texts": 0.5} for part in ("sample", "all")},
        "paired": {
            name: dict(zip(("difference", "difference_low", "difference_high"), test, strict=True))
            for name, test in names.items()
        },
        "teacher": "minilm",
        "non_inferiority_margin": 0.01,
    }


def advice(measured):
    return {statement.topic.split("?")[0]: statement for statement in decide(measured)}


def test_a_significant_difference_overrules_the_word_order_sensitivity():
    assert choose(numbers({"bigru, bag": SURE}, wos=0.1)) == "bigru"
    assert choose(numbers({"bigru, bag": WORSE}, wos=0.9)) == "bag"
    assert "contradicts" in advice(numbers({"bigru, bag": SURE}, wos=0.1))["Which student"].claim
    assert "contradicts" not in advice(numbers({"bigru, bag": SURE}, wos=0.5))["Which student"].claim


def test_the_word_order_sensitivity_decides_between_students_that_do_not_differ():
    assert choose(numbers({"bigru, bag": NONE}, wos=0.1)) == "bag"
    assert choose(numbers({"bigru, bag": NONE}, wos=0.5)) == "bigru"
    assert advice(numbers({"bigru, bag": NONE}, wos=0.5))["Which student"].confidence == "inconclusive"


def test_a_larger_student_has_to_be_significantly_better():
    assert choose(numbers({"large bigru, bigru": NONE})) == "bigru"
    assert choose(numbers({"large bigru, bigru": SURE})) == "large bigru"
    measured = numbers({"large bigru, bigru": SURE, "bigru, bag": WORSE})
    assert choose(measured) == "bag"
    measured["models"][-1]["accuracy"] += 0.1
    assert choose(measured) == "large bigru"


def test_a_teacher_that_is_not_better_than_tfidf_is_not_worth_distilling():
    said = advice(numbers({"teacher, TF-IDF": NONE}, wos=0.9))
    assert said["Is distillation worth it"].claim.startswith("Not with this teacher")
    assert said["How much unlabelled text"].claim.startswith("None with this teacher")
    assert "--teacher roberta" in said["A larger teacher"].command
    assert "small transformer" not in said["Which student"].claim
    assert "small transformer" in advice(numbers(wos=0.9))["Which student"].claim


def test_a_teacher_that_is_worse_than_tfidf_allows_no_conclusion_about_others():
    said = advice(numbers({"teacher, TF-IDF": WORSE}))
    assert said["Is distillation worth it"].claim.startswith("Not on this sample")
    for topic in ("More labels", "A larger teacher"):
        assert said[topic].confidence == "inconclusive"
        assert said[topic].command == "potstill advise --rows 3000"


def test_models_that_do_not_beat_the_most_frequent_class_are_reported():
    measured = numbers({"teacher, TF-IDF": NONE})
    assert "most frequent" not in advice(measured)["Is distillation worth it"].claim
    assert "most frequent" in advice(measured | {"majority": 0.89})["Is distillation worth it"].claim


def test_where_tfidf_suffices_no_larger_teacher_is_advised():
    measured = numbers({"teacher, TF-IDF": NONE})
    next(m for m in measured["models"] if m["name"] == "TF-IDF")["accuracy"] = 0.98
    said = advice(measured)
    assert said["Is distillation worth it"].claim.startswith("No: TF-IDF")
    assert said["A larger teacher"].command is None


def test_hard_labels_that_are_as_good_are_mentioned():
    assert "hard labels" in advice(numbers({"bigru, on labels": NONE}))["Is distillation worth it"].claim
    assert "hard labels" not in advice(numbers())["Is distillation worth it"].claim


def test_a_student_worse_than_its_teacher_needs_text_first():
    said = advice(numbers({"bigru, teacher": WORSE}))
    assert said["A larger teacher"].claim.startswith("Not yet")
    assert said["Will the student ship"].claim.startswith(("Perhaps", "Probably not"))


def test_a_student_as_good_as_its_teacher_would_follow_a_better_one():
    assert advice(numbers({"bigru, teacher": NONE}, wos=0.5))["A larger teacher"].claim.startswith("Likely to help")
    assert advice(numbers({"bigru, teacher": NONE}, wos=0.1))["A larger teacher"].confidence == "inconclusive"
    assert advice(numbers({"bigru, teacher": NONE}))["Will the student ship"].claim.startswith("Yes")


def test_how_much_text_is_needed_follows_from_the_curve():
    steep = advice(numbers(accuracies=(0.5, 0.65, 0.755)))["How much unlabelled text"]
    assert "As much as you can get" in steep.claim
    flat = advice(numbers(accuracies=(0.838, 0.839, 0.841)))["How much unlabelled text"]
    assert "You have enough" in flat.claim
    unsure = advice(numbers({"bigru, on a quarter": NONE}))["How much unlabelled text"]
    assert unsure.confidence == "inconclusive"
    assert "replace it" in advice(numbers(train_as_unlabelled=True))["How much unlabelled text"].evidence


def test_labels_help_only_if_the_teacher_still_learns():
    assert advice(numbers())["More labels"].claim.startswith("Yes")
    assert advice(numbers({"teacher, on half": NONE}))["More labels"].claim.startswith("Probably not")


def test_every_statement_has_its_evidence_in_the_report():
    measured = numbers()
    measured["word_order"] = None  # texts of one word
    said = decide(measured)
    text = markdown(measured, said)
    for statement in said:
        assert f"**{statement.topic}** {statement.claim}" in text
        assert statement.evidence in text
    assert "| TF-IDF | hard | 1,500 |" in text
    json.dumps(measured)


class Oracle:
    """A teacher that needs no training: it finds the words that determine the label."""

    def __init__(self):
        self.fitted = []

    def fit(self, train, validation):
        self.fitted.append(len(train))

    def logits(self, texts):
        return np.array([[4.0 * any(w in t for w in words) for words in FEELINGS.values()] for t in texts])


def quick(section):
    return section.load(ROOT / "params.yaml").model_copy(update={"epochs": 2})


def test_everything_is_measured_on_the_same_texts(data, monkeypatch):
    monkeypatch.setattr("potstill.advise.measure.MIN_STEPS", 4)
    lines, oracle = [], Oracle()
    measured = measure(data, 100, quick(BaselineParams), quick(StudentParams), oracle, lines.append)
    assert oracle.fitted == [50, 100]
    assert measured["rows"] == {
        "train": 240, "unlabelled": 100, "sample": 100, "selection": 33, "validation": 60, "transfer": 200,
    }  # fmt: skip
    assert not measured["train_as_unlabelled"]
    assert measured["word_order"]["wos"] == 0  # it looks at words alone
    distilled = [m for m in measured["models"] if m["training"] == "distilled"]
    assert [(m["name"], m["texts"]) for m in distilled] == [
        *(("bag", size) for size in (50, 100, 200)),
        *(("bigru", size) for size in (50, 100, 200)),
        ("large bigru", 200),
    ]
    assert all("agreement" in m for m in distilled)
    assert len(lines) == len(measured["models"])
    assert len(measured["paired"]) == 4 + 2 * len(CANDIDATES) + 4
    assert len(decide(measured | {"teacher": "oracle", "non_inferiority_margin": 0.01})) == 6


def test_models_on_hard_labels_use_the_class_weight(data, monkeypatch):
    monkeypatch.setattr("potstill.advise.measure.MIN_STEPS", 4)
    losses = []
    for class_weight in (None, "balanced"):
        baseline = quick(BaselineParams).model_copy(update={"class_weight": class_weight})
        measured = measure(data, 100, baseline, quick(StudentParams), Oracle())
        hard = [m for m in measured["models"] if m["training"] == "hard" and m["name"] != "teacher"]
        losses.append([m["log_loss"] for m in hard])
    assert all(plain != balanced for plain, balanced in zip(*losses, strict=True))


def table(labels):
    return pd.DataFrame({"text": [f"text number {i}" for i in range(len(labels))], "label": labels})


def test_train_texts_replace_unlabelled_text_that_is_missing(data):
    sample = draw(Dataset(data.labels, data.train, data.validation, data.test, data.unlabelled[:0]), 50)
    assert sample.train_as_unlabelled
    assert (len(sample.train), len(sample.selection), len(sample.others)) == (50, 16, 240 - 50 - 16)


def test_a_small_sample_holds_every_class(data):
    many = Dataset(
        [str(i) for i in range(45)], table([i % 45 for i in range(300)]), table([0, 1]), table([0]), table([0])
    )
    sample = draw(many, 2000)
    assert sample.train["label"].nunique() == 45
    assert not set(sample.train["text"]) & set(sample.selection["text"])


@pytest.mark.parametrize(
    ("train", "validation", "says"),
    [
        ([0, 1] * 20, [0, 1], "32 labelled rows are too few for 2 classes. Use at least 40"),
        ([0, 1] * 40, [1, 1], "only one class"),
    ],
)
def test_a_task_too_small_for_advice_is_an_error(train, validation, says):
    with pytest.raises(PotstillError, match=says):
        draw(Dataset(["a", "b"], table(train), table(validation), table([0]), table([0])[["text"]]), 2000)


@pytest.fixture
def folder(tmp_path, data, bert):
    """A project with prepared data, a tiny teacher and quick students."""
    data.save(tmp_path / paths.PREPARED)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["teacher"]["presets"]["minilm"]["checkpoint"] = str(bert)
    params["teacher"]["presets"]["elsewhere"] = {"checkpoint": "answers.csv"}
    params["baseline"]["epochs"] = params["student"]["epochs"] = 2
    yaml.dump(params, tmp_path / "params.yaml")
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def advise(folder, *options):
    command = [sys.executable, "-m", "potstill", "advise", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_command_advises_and_leaves_nothing_else(folder):
    done = advise(folder, "--rows", "80")
    assert done.returncode == 0, done.stderr
    written = (folder / "metrics" / "advise" / "advice.md").read_text()
    assert written.strip() == done.stdout.strip()
    facts = json.loads((folder / "metrics" / "advise" / "advice.json").read_text())
    assert {m["texts"] for m in facts["measured"]["models"] if m["name"] == "teacher"} == {40, 80}
    assert [statement["topic"] for statement in facts["advice"]][1] == "Which student?"
    assert sorted(p.name for p in folder.iterdir()) == [".potstill", "data", "dvc.yaml", "metrics", "params.yaml"]
    assert not list((folder / ".potstill").iterdir())


@pytest.mark.slow
def test_an_error_is_one_line(folder):
    done = advise(folder, "--teacher", "elsewhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: --teacher: elsewhere is a table of answers, which cannot ")
    done = advise(folder, "--teacher", "nobody")
    assert done.stderr.startswith("error: --teacher: params.yaml has no preset 'nobody' (found: ")
    (folder / paths.PREPARED / "dataset.json").unlink()
    done = advise(folder)
    assert (
        done.stderr.strip()
        == "error: data/prepared/dataset.json: no such file. Run `dvc repro` (or `dvc pull`) to create it."
    )
    assert not (folder / "metrics").exists()
