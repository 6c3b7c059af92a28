"""The facts in a model file, its card and `potstill inspect` are what the stages measured."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard

from potstill import cli
from potstill.core import files, paths
from potstill.runtime.model import Student
from potstill.student.params import StudentParams
from tests.pipeline.stages import NETWORK, STAGES, run_stages

NAMES = ["joy", "sadness", "@a <b>|`c`"]


CASES = {
    "one label": {},
    "few labels": {"prepare": {"max_labelled": 30, "max_validation": 20}},
    "multi-label": {"prepare": {"multi_label": True}},
    "train alone": {"changes": {"student": {"sources": ["train"]}}, "learned": ("train",)},
    "unlabelled alone": {"changes": {"student": {"sources": ["unlabelled"]}}, "learned": ("unlabelled",)},
    "no train texts": {"changes": {"pool": {"train": False}}, "learned": ("unlabelled",)},
    "no unlabelled texts": {"changes": {"pool": {"unlabelled": 0}}, "learned": ("train",)},
    "some unlabelled texts": {"changes": {"pool": {"unlabelled": 17}}},
    "two teachers, one with missing answers": {"teachers": ["mine", "lacking"]},
}


def read_json(name):
    return json.loads((paths.METRICS / "evaluate" / f"{name}.json").read_text())


def metrics(stage):
    return json.loads((paths.METRICS / stage / "metrics.json").read_text())


def table(number, start, multi_label):
    """Texts with a word for each of their labels."""
    ids = [[i % 3] if i % 5 or not multi_label else [0, 1] for i in range(start, start + number)]
    texts = [f"so {' '.join(f'w{label}' for label in held)} today {start + row}" for row, held in enumerate(ids)]
    return pd.DataFrame({"text": texts, "ids": ids})


def write(multi_label):
    """Write the files for `prepare`, and the answers of two teachers, of which one lacks the last test texts."""
    names = [name.replace("|", "/") for name in NAMES] if multi_label else NAMES
    sizes = {"train": 90, "validation": 45, "test": 60, "unlabelled": 50}
    parts, start = {}, 0
    for name, number in sizes.items():
        parts[name], start = table(number, start, multi_label), start + number
        labels = ["|".join(names[i] for i in held) for held in parts[name]["ids"]]
        columns = parts[name][["text"]] if name == "unlabelled" else parts[name][["text"]].assign(label=labels)
        columns.to_csv(f"mine/{name}.csv", index=False)
    texts = pd.concat(parts.values(), ignore_index=True)
    answers = np.full((len(texts), 3), 0.04)
    for row, held in zip(answers, texts["ids"], strict=True):
        row[held] = 0.92
    answers[::7] = np.roll(answers[::7], 1, axis=1)  # some are wrong
    answered = pd.DataFrame(answers, columns=names).assign(text=texts["text"])
    answered.to_csv("answers.csv", index=False)
    answered[~answered["text"].isin(parts["test"]["text"].tail(5))].to_csv("lacking.csv", index=False)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_fact_is_what_the_stages_measured(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    options = CASES[case]
    write("multi_label" in options.get("prepare", {}))
    teachers = options.get("teachers", ["mine"])
    presets = {name: {"checkpoint": f"{name.replace('mine', 'answers')}.csv"} for name in teachers}
    changes = {"teacher": {"checkpoints": teachers, "presets": presets}, "label": {"teachers": teachers}}
    prepare = {"unlabelled": ["unlabelled.csv"]} | options.get("prepare", {})
    network = NETWORK | {"vocab_size": 40, "epochs": 3}
    run_stages(monkeypatch, network, changes | options.get("changes", {}), STAGES, **prepare)

    student = Student.load(paths.EXPORT / "student.pot")
    facts, evaluated = student.facts, metrics("evaluate")["models"]
    prepared, pool = metrics("prepare")["prepare"]["rows"], metrics("pool")["pool"]["sources"]
    learned = {name: pool[name] for name in options.get("learned", ("train", "unlabelled")) if pool[name]}
    splits = {name: prepared[name] for name in ("validation", "test")}
    assert facts["rows"] == splits | {name: learned.get(name, 0) for name in ("train", "unlabelled")}
    if case == "few labels":
        assert (facts["rows"]["train"], facts["rows"]["unlabelled"], pool["held_out"]) == (30, 99, 11)
    if case == "some unlabelled texts":
        assert (facts["rows"]["unlabelled"], pool["held_out"]) == (16, 1)
    measured = metrics("export")["export"]["held_out"]
    assert measured["texts"] == pool["held_out"] <= 11
    said = [reason["text"] for reason in read_json("verdict")["reasons"] if "held-out" in reason["text"]]
    assert len(said) == (measured["texts"] > 0)  # as there are few test texts
    assert all(text in (paths.METRICS / "evaluate" / "table.md").read_text() for text in said)
    tested = [name for name in teachers if name in evaluated]
    assert facts["teachers"] == {name: evaluated[name]["accuracy"] for name in tested}
    assert facts.get("untested_teachers", []) == [name for name in teachers if name not in tested]
    measured = {key: value for key, value in evaluated["student"].items() if key in facts["metrics"]["test"]}
    assert facts["metrics"]["test"] == measured
    assert facts["sha256"] == {path.name: files.sha256(path) for path in (paths.PREPARED, paths.ENSEMBLE)}
    (params,) = StudentParams.load().candidates().values()
    assert facts["params"] == params.model_dump() | {"sources": list(learned)}
    size = (paths.EXPORT / "student.pot").stat().st_size
    assert size == metrics("export")["export"]["bytes"] == evaluated["student"]["bytes"]
    assert student.parameters == evaluated["student"]["parameters"] == metrics("student")["student"]["parameters"]
    assert student.temperature == pytest.approx(metrics("export")["export"]["temperature"], rel=1e-3)
    validation = facts["metrics"]["validation"]
    assert validation["log_loss"] == metrics("export")["export"]["validation_log_loss"]

    card = (paths.EXPORT / "README.md").read_text()
    check_card(card, student, evaluated["student"], learned)
    assert f"# A text classifier in {size:,} bytes" in card
    assert f"`model.onnx` ({(paths.EXPORT / 'model.onnx').stat().st_size:,} bytes;" in card.replace("\n", " ")

    capsys.readouterr()
    cli.execute(["inspect", "--json", str(paths.EXPORT / "student.pot")])
    inspected = json.loads(capsys.readouterr().out)
    shown = {key: value for key, value in facts["scope"].items() if key != "rare"}
    assert {key: inspected[key] for key in facts} == facts | {"scope": shown}
    assert (inspected["bytes"], inspected["parameters"], inspected["labels"]) == (
        size,
        student.parameters,
        student.labels,
    )
    cli.execute(["inspect", str(paths.EXPORT / "student.pot")])
    assert "from        {train:,} labelled and {unlabelled:,} unl".format(**facts["rows"]) in capsys.readouterr().out
    assert list(inspected.get("thresholds", {}).values()) == pytest.approx(student.thresholds or [], abs=1e-6)


def read_card(text):
    """Return the scores in the metadata of a card, and the rows of its table by heading."""
    found = ModelCard(text)
    rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", found.text, re.M))
    return {result.metric_type: result.metric_value for result in found.data.eval_results}, rows


def check_card(text, student, metrics, sources):
    """Compare every number of a card with the student and with its scores by the stage `evaluate`."""
    values, rows = read_card(text)
    multi_label = student.thresholds is not None
    right, second = ("exact match", "micro-F1") if multi_label else ("accuracy", "Matthews correlation")
    found = [metrics[key] for key in ("accuracy", "accuracy_low", "accuracy_high")]
    number = student.facts["rows"]["test"]
    assert rows[right] == "{:.2%} (95% CI {:.2%} to {:.2%}), {:,} test texts".format(*found, number)
    other = metrics["micro_f1" if multi_label else "matthews"]
    assert rows[f"macro-F1, {second}"] == f"{metrics['macro_f1']:.4f}, {other:.4f}"
    assert rows["calibration"].endswith(f"expected calibration error {metrics['calibration_error']:.4f}")
    assert f"temperature {student.temperature:g}," in rows["calibration"]
    shape, words = student.shape.architecture, len(student.vocabulary.entries)
    assert rows["network"] == f"{shape}, {student.parameters:,} parameters, vocabulary of {words:,} words"
    counts = [int(count.replace(",", "")) for count in re.findall(r"[\d,]*\d", rows["training data"])]
    real, samples = [sources.get(name, 0) for name in ("train", "unlabelled")], sources.get("generated", 0)
    assert counts == [n for n in (*real, sum(sources.values()) - sum(real) - samples, samples) if n]
    expected = {"accuracy": metrics["accuracy"], "f1": metrics["macro_f1"]}
    assert values == expected | ({} if multi_label else {"matthews_correlation": metrics["matthews"]})
