"""Advice before a full run: its rules on given numbers, and the whole of it on tiny data."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from conftest import FEELINGS
from potstill import paths
from potstill.advise.curve import Curve
from potstill.advise.decide import choose, decide
from potstill.advise.measure import draw, measure
from potstill.advise.report import markdown
from potstill.corpus.dataset import Dataset
from potstill.errors import PotstillError
from potstill.params.baseline import BaselineParams
from potstill.params.student import StudentParams
from project import ROOT

SURE, NONE, WORSE = (0.1, 0.08, 0.12), (0.0, -0.01, 0.01), (-0.1, -0.12, -0.08)


def test_a_power_law_is_found_again():
    curve = Curve.fit([1000, 2000, 4000], [0.4, 0.2, 0.1], 500)
    assert (curve.power, curve.largest) == (pytest.approx(1), 4000)
    assert curve.error(8000) == pytest.approx(0.05)
    assert curve.gain(8000) == pytest.approx(0.025)
    size = curve.worth(0.005, 1e9)
    assert curve.gain(size) == pytest.approx(0.005)
    assert curve.worth(0.005, 10_000) == 10_000


def test_a_curve_that_does_not_fall_promises_nothing():
    curve = Curve.fit([1000, 2000, 4000], [0.2, 0.21, 0.22], 500)
    assert curve.gain(4000) < 0
    assert curve.worth(0.005, 1e9) == 4000


def test_no_error_at_all_is_half_a_text():
    assert Curve.fit([10, 20], [0.0, 0.0], 100).error(20) == pytest.approx(0.005)


def model(name, training, texts, accuracy):
    scored = {"accuracy": accuracy, "accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.02, "matthews": 0.5}
    return {"name": name, "training": training, "texts": texts, "parameters": 4000, **scored}


def numbers(paired=None, wos=0.1, stands_in=False, accuracies=(0.75, 0.8, 0.84)):
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
    rows = {"train": 8000, "unlabelled": 0 if stands_in else 20_000, "sample": 1500, "choosers": 500}
    return {
        "rows": rows | {"validation": 1000, "pool": 6000},
        "classes": 2,
        "majority": 0.5,
        "stands_in": stands_in,
        "models": models,
        "order": {"wos": wos, "survived": 1 - wos / 2, "texts": 1000},
        "unknown": {part: {"words": 0.1, "texts": 0.5} for part in ("to_sample", "to_all")},
        "paired": {
            name: dict(zip(("difference", "difference_low", "difference_high"), test, strict=True))
            for name, test in names.items()
        },
        "teacher": "minilm",
        "max_loss": 0.01,
    }


def advice(measured):
    return {statement.topic.split("?")[0]: statement for statement in decide(measured)}


def test_what_was_measured_overrules_the_sensitivity():
    assert choose(numbers({"bigru, bag": SURE}, wos=0.1)) == "bigru"
    assert choose(numbers({"bigru, bag": WORSE}, wos=0.9)) == "bag"
    assert "overrule" in advice(numbers({"bigru, bag": SURE}, wos=0.1))["Which student"].claim
    assert "overrule" not in advice(numbers({"bigru, bag": SURE}, wos=0.5))["Which student"].claim


def test_the_sensitivity_decides_where_students_are_alike():
    assert choose(numbers({"bigru, bag": NONE}, wos=0.1)) == "bag"
    assert choose(numbers({"bigru, bag": NONE}, wos=0.5)) == "bigru"
    assert advice(numbers({"bigru, bag": NONE}, wos=0.5))["Which student"].confidence == "open"


def test_a_larger_student_has_to_be_surely_better():
    assert choose(numbers({"large bigru, bigru": NONE})) == "bigru"
    assert choose(numbers({"large bigru, bigru": SURE})) == "large bigru"
    measured = numbers({"large bigru, bigru": SURE, "bigru, bag": WORSE})
    assert choose(measured) == "bag"
    measured["models"][-1]["accuracy"] += 0.1
    assert choose(measured) == "large bigru"


def test_a_teacher_that_knows_no_more_than_tfidf_has_nothing_to_teach():
    said = advice(numbers({"teacher, TF-IDF": NONE}, wos=0.9))
    assert said["Is distilling worth it"].claim.startswith("Not with this teacher")
    assert said["How much unlabelled text"].claim.startswith("None")
    assert "--teacher roberta" in said["A larger teacher"].command
    assert "small transformer" not in said["Which student"].claim
    assert "small transformer" in advice(numbers(wos=0.9))["Which student"].claim


def test_a_teacher_that_has_not_learnt_the_sample_says_nothing_of_others():
    said = advice(numbers({"teacher, TF-IDF": WORSE}))
    assert said["Is distilling worth it"].claim.startswith("Not on this sample")
    for topic in ("More labels", "A larger teacher"):
        assert said[topic].confidence == "open"
        assert said[topic].command == "python src/advise.py --rows 3000"


def test_what_the_most_frequent_class_does_as_well_is_said():
    measured = numbers({"teacher, TF-IDF": NONE})
    assert "most frequent" not in advice(measured)["Is distilling worth it"].claim
    assert "most frequent" in advice(measured | {"majority": 0.89})["Is distilling worth it"].claim


def test_where_tfidf_suffices_no_teacher_is_asked_for():
    measured = numbers({"teacher, TF-IDF": NONE})
    next(m for m in measured["models"] if m["name"] == "TF-IDF")["accuracy"] = 0.98
    said = advice(measured)
    assert said["Is distilling worth it"].claim.startswith("No: TF-IDF")
    assert said["A larger teacher"].command is None


def test_hard_labels_that_do_as_much_are_mentioned():
    assert "hard labels" in advice(numbers({"bigru, on labels": NONE}))["Is distilling worth it"].claim
    assert "hard labels" not in advice(numbers())["Is distilling worth it"].claim


def test_a_student_behind_its_teacher_wants_text_first():
    said = advice(numbers({"bigru, teacher": WORSE}))
    assert said["A larger teacher"].claim.startswith("Not first")
    assert said["Will the student ship"].claim.startswith(("Perhaps", "Not"))


def test_a_student_as_good_as_its_teacher_would_follow_a_better_one():
    assert advice(numbers({"bigru, teacher": NONE}, wos=0.5))["A larger teacher"].claim.startswith("Likely")
    assert advice(numbers({"bigru, teacher": NONE}, wos=0.1))["A larger teacher"].confidence == "open"
    assert advice(numbers({"bigru, teacher": NONE}))["Will the student ship"].claim.startswith("Yes")


def test_how_much_text_is_read_off_the_curve():
    steep = advice(numbers(accuracies=(0.5, 0.65, 0.755)))["How much unlabelled text"]
    assert "As much as you can" in steep.claim
    flat = advice(numbers(accuracies=(0.838, 0.839, 0.841)))["How much unlabelled text"]
    assert "Enough is there" in flat.claim
    unsure = advice(numbers({"bigru, on a quarter": NONE}))["How much unlabelled text"]
    assert unsure.confidence == "open"
    assert "stand in" in advice(numbers(stands_in=True))["How much unlabelled text"].evidence


def test_labels_help_only_if_the_teacher_still_learns():
    assert advice(numbers())["More labels"].claim.startswith("Yes")
    assert advice(numbers({"teacher, on half": NONE}))["More labels"].claim.startswith("No sign")


def test_every_statement_has_its_evidence_in_the_report():
    measured = numbers()
    measured["order"] = None  # texts of one word
    said = decide(measured)
    text = markdown(measured, said)
    for statement in said:
        assert f"**{statement.topic}** {statement.claim}" in text
        assert statement.evidence in text
    assert "| TF-IDF | hard | 1,500 |" in text
    json.dumps(measured)


@pytest.fixture
def oracle(data):
    """A teacher that needs no training, since it reads what the label hangs on."""
    asked = []

    def teach(rows, choosers):
        asked.append(len(rows))

        def answer(texts):
            return np.array([[4.0 * any(w in t for w in words) for words in FEELINGS.values()] for t in texts])

        return answer

    teach.asked = asked
    return teach


def quick(section):
    return section.load(ROOT / "params.yaml").model_copy(update={"epochs": 2})


def test_everything_is_measured_on_the_same_texts(data, oracle, monkeypatch):
    monkeypatch.setattr("potstill.advise.measure.STEPS", 4)
    lines = []
    measured = measure(data, 100, quick(BaselineParams), quick(StudentParams), oracle, lines.append)
    assert oracle.asked == [50, 100]
    assert measured["rows"] == {
        "train": 240, "unlabelled": 100, "sample": 100, "choosers": 33, "validation": 60, "pool": 200,
    }  # fmt: skip
    assert not measured["stands_in"]
    assert measured["order"]["wos"] == 0  # it looks at words alone
    distilled = [m for m in measured["models"] if m["training"] == "distilled"]
    assert [(m["name"], m["texts"]) for m in distilled] == [
        *(("bag", size) for size in (50, 100, 200)),
        *(("bigru", size) for size in (50, 100, 200)),
        ("large bigru", 200),
    ]
    assert all("agreement" in m for m in distilled)
    assert len(lines) == len(measured["models"])
    assert len(decide(measured | {"teacher": "oracle", "max_loss": 0.01})) == 6


def table(labels):
    return pd.DataFrame({"text": [f"text number {i}" for i in range(len(labels))], "label": labels})


def test_without_unlabelled_text_train_texts_stand_in(data):
    sample = draw(Dataset(data.labels, data.train, data.validation, data.test, data.unlabelled[:0]), 50)
    assert sample.stands_in
    assert (len(sample.train), len(sample.choosers), len(sample.others)) == (50, 16, 240 - 50 - 16)


def test_a_small_sample_holds_every_class(data):
    many = Dataset(
        [str(i) for i in range(45)], table([i % 45 for i in range(300)]), table([0, 1]), table([0]), table([0])
    )
    sample = draw(many, 2000)
    assert sample.train["label"].nunique() == 45
    assert not set(sample.train["text"]) & set(sample.choosers["text"])


@pytest.mark.parametrize(
    ("train", "validation", "says"),
    [
        ([0, 1] * 20, [0, 1], "32 labelled rows .* of 2 classes tell nothing: at least 40"),
        ([0, 1] * 40, [1, 1], "one class only"),
    ],
)
def test_what_tells_nothing_says_so(train, validation, says):
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
    return tmp_path


def advise(folder, *options):
    command = [sys.executable, str(ROOT / "src" / "advise.py"), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_script_advises_and_leaves_nothing_else(folder):
    done = advise(folder, "--rows", "80")
    assert done.returncode == 0, done.stderr
    written = (folder / "metrics" / "advise" / "advice.md").read_text()
    assert written.strip() == done.stdout.strip()
    facts = json.loads((folder / "metrics" / "advise" / "advice.json").read_text())
    assert {m["texts"] for m in facts["measured"]["models"] if m["name"] == "teacher"} == {40, 80}
    assert [statement["topic"] for statement in facts["advice"]][1] == "Which student?"
    assert sorted(p.name for p in folder.iterdir()) == [".potstill", "data", "metrics", "params.yaml"]
    assert not list((folder / ".potstill").iterdir())


@pytest.mark.slow
def test_what_is_wrong_is_one_line(folder):
    done = advise(folder, "--teacher", "elsewhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: elsewhere is a table, which cannot be asked")
    (folder / paths.PREPARED / "dataset.json").unlink()
    (folder / "dvc.yaml").touch()  # as in a project
    done = advise(folder)
    assert (
        done.stderr.strip()
        == "error: data/prepared/dataset.json: no such file. Run `dvc repro` (or `dvc pull`) to create it."
    )
    assert not (folder / "metrics").exists()
