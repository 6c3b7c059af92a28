"""What differs between experiments, how it is drawn, which is recommended, and whether to take it."""

import re

from potstill.report.experiments import Experiment, compare, differing, hashes, recommend
from potstill.report.pictures import experiments as draw


def row(name, size, decision="ship", best=True):
    return {"name": name, "bytes": size, "accuracy": 0.9, "score": "accuracy", "decision": decision, "best": best}


def test_the_smallest_that_ships_is_recommended():
    rows = [row("a", 300), row("b", 200), row("c", 100, "cannot tell yet"), row("d", 50, best=False)]
    assert recommend(rows) == (
        "b",
        True,
        "its student has 200 bytes and a test accuracy of 90.00%. It is the smallest of the 2 experiments whose "
        "accuracy is not significantly lower than the highest, and whose verdict is to ship.",
    )
    assert "It is the only one of those whose accuracy is not significantly lower" in recommend(rows[1:])[2]


def test_experiments_with_different_classes_are_not_compared():
    name, take, why = recommend([row("a", 300), row("b", 200)], same_classes=False)
    assert (name, take) == ("a", False)
    assert why == "its accuracy is the highest, but not all experiments have the same classes."


def test_an_experiment_that_does_not_ship_is_not_to_be_taken():
    name, take, why = recommend(
        [row("a", 300, "cannot tell yet"), row("b", 200, "do not ship"), row("c", 9, best=False)]
    )
    assert (name, take) == ("b", False)
    assert why.endswith(
        "It is the smallest of the 2 experiments whose accuracy is not significantly lower than the highest. Its "
        'verdict is "do not ship"; its own report says what to do next.'
    )
    assert recommend([row("a", 300, "do not ship"), row("b", 9, best=False)])[:2] == ("a", False)


def made(name, accuracy=0.9, **settings):
    scores = row(name, 100) | {"kind": "student", "accuracy": accuracy, "accuracy_low": 0.8, "accuracy_high": 0.99}
    return Experiment(name, settings, {"models": {"student": scores}, "student": {"decision": "ship"}}, {}, None)


def test_what_differs_is_named_for_each():
    experiments = [
        made("a", rung="auto", C=1, data="123"),
        made("b", rung="qr", C=1, data="123"),
        made("c", C=1),
    ]
    assert differing(experiments) == ["rung", "data"]
    assert {one["name"]: one["differs"] for one in compare(experiments)} == {
        "a": {"rung": "auto", "data": "123"},
        "b": {"rung": "qr", "data": "123"},
        "c": {"rung": "not set", "data": "not set"},
    }
    assert differing(experiments[:1]) == []
    one, other = compare([made("a", subwords=None, **{"report.errors": 1}), made("b", subwords=True)])
    assert (one["differs"], other["differs"]) == ({"subwords": "null"}, {"subwords": "true"})


def test_agreement_is_not_ranked_against_accuracy():
    unlabelled = made("names", 0.97)
    student = unlabelled.scores["models"]["student"]
    for key in ("accuracy", "accuracy_low", "accuracy_high"):
        student[key.replace("accuracy", "agreement")] = student.pop(key)
    rows = compare([unlabelled, made("labels", 0.83)])
    assert [(one["name"], one["score"], one["best"]) for one in rows] == [
        ("labels", "accuracy", True),
        ("names", "agreement with the teacher", False),
    ]
    assert recommend(rows)[2] == "its student has 100 bytes and a test accuracy of 83.00%."


def lock(data="1", code="2", report="3"):
    return {
        "stages": {
            "prepare": {"deps": [{"path": "data/own", "md5": data}, {"path": "src/prepare.py", "md5": code}]},
            "student": {"deps": [{"path": "data/prepared", "md5": data + code}, {"path": "src/a", "md5": code}]},
            "report": {"deps": [{"path": "src/report.py", "md5": report}]},
        }
    }


def test_other_data_and_other_code_have_other_hashes():
    first = hashes(lock())
    assert set(first) == {"data", "code"}
    assert all(len(value) == 7 for value in first.values())
    assert hashes(lock(report="9")) == first
    for name in ("data", "code"):
        other = hashes(lock(**{name: "9"}))
        assert [key for key in first if first[key] != other[key]] == [name]
    assert hashes({}) == {}


def test_equal_sizes_are_drawn_equal():
    rows = [*compare([made("a", 0.9, rung="x"), made("b", 0.91, rung="y")])]
    svg = draw([one | {"kind": "student"} for one in rows], "accuracy")["size"]
    places = [re.search(r'<use [^>]*x="([\d.]+)"', mark)[1] for mark in svg.split("data-tip=")[1:]]
    assert len(places) == 2
    assert places[0] == places[1]
    assert "rung=x" in svg
