"""Candidates are trained in ascending order of size, once each, and only as far as needed."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from potstill.runtime.model import FILE, Student
from potstill.student import candidates, ladder
from potstill.student.candidates import (
    Inputs,
    Result,
    Task,
    choose_sources,
    climb,
    not_worthwhile,
    obstacle,
    train,
    with_sources,
)
from potstill.student.params import LADDER, PARAMS, Rung, StudentParams
from potstill.student.search import search
from tests.settings import soft_labels, student_settings
from tests.tasks import make_checkpoint, make_transfer

REAL = ("train",)
TINY = {"epochs": 6, "fingerprint_bits": None, "max_length": 16, "sources": REAL}
GOOD = student_settings(**TINY, hidden=8, learning_rate=0.05)
BAD = student_settings(**TINY, hidden=2, learning_rate=1e-6)


def learning_from(params, *sources):
    """Settings with other sources."""
    return params.model_copy(update={"sources": sources or None})


@pytest.fixture
def inputs(data, tmp_path):
    """What candidates learn from: an easy task, and a teacher that is right about every text."""
    data.save(tmp_path / "prepared")
    texts = data.train["text"].tolist()
    made = make_transfer([*texts, "i feel odd"], ["train"] * len(texts) + ["generated"], np.zeros((len(texts) + 1, 3)))
    (tmp_path / "ensemble").mkdir()
    made.texts.path.rename(tmp_path / "ensemble/pool.parquet")
    write_logits(tmp_path / "ensemble", data, np.concatenate([soft_labels(data), np.zeros((1, 3))]))
    right = 8 * np.eye(3)[data.validation["label"]]
    return Inputs(tmp_path / "prepared", tmp_path / "ensemble", None, right, tmp_path / "scratch", "key")


def write_logits(folder, data, logits):
    pd.DataFrame(logits.astype(np.float32), columns=data.labels).to_parquet(folder / "logits.parquet", index=False)


@pytest.fixture
def trained(monkeypatch):
    """The settings of all students that are trained in this process."""
    seen = []
    distil = candidates.distil

    def recorded(labels, texts, logits, validation, params, *rest):
        seen.append(params)
        return distil(labels, texts, logits, validation, params, *rest)

    monkeypatch.setattr(candidates, "distil", recorded)
    return seen


def test_the_ladder_is_climbed_until_a_rung_keeps_the_teachers_accuracy(inputs, trained):
    results = climb(inputs, {"low": BAD, "middle": GOOD, "high": GOOD}, 0.1)
    assert list(results) == ["low", "middle"]
    assert trained == [BAD, GOOD]
    assert results["low"].row.status == "stopped early"
    best = results["middle"]
    assert best.row.difference >= -0.1
    student = Student.load(best.folder / FILE)
    assert (best.row.parameters, best.row.bytes) == (student.parameters, (best.folder / FILE).stat().st_size)
    assert len(best.epochs) == 6
    assert best.best in best.epochs
    assert best.row.validation_accuracy == pytest.approx(best.best["validation_accuracy"], abs=1e-6)
    assert not (best.folder / PARAMS).exists()
    assert not list(inputs.scratch.glob("stop-*"))


def test_a_hopeless_rung_is_given_up_in_the_second_half_of_its_epochs(inputs):
    found = climb(inputs, {"low": BAD, "high": GOOD}, 0.1)["low"]
    assert found.row.status == "stopped early"
    assert len(found.epochs) == 4
    assert found.row.validation_accuracy == max(round(epoch["validation_accuracy"], 6) for epoch in found.epochs)
    assert (found.row.parameters, found.row.bytes, found.row.difference, found.divergence) == (None,) * 4
    assert not found.folder.exists()


def test_the_last_rung_is_trained_to_its_end(inputs):
    (found,) = climb(inputs, {"low": BAD}, 0.1).values()
    assert found.row.status == "too inaccurate"
    assert len(found.epochs) == 6
    assert ladder.choose([found.row], 0.1, 0.1) == "low"


def test_without_predictions_of_the_teacher_all_rungs_are_trained(inputs):
    blind = replace(inputs, teacher_logits=np.full_like(inputs.teacher_logits, np.nan))
    results = climb(blind, {"low": BAD, "middle": GOOD, "high": GOOD}, 0.1)
    assert [result.row.status for result in results.values()] == ["too inaccurate"] * 3
    assert [result.row.difference for result in results.values()] == [None] * 3
    assert results["middle"].divergence is None


def test_results_are_kept(inputs, trained):
    rungs = {"low": BAD, "high": GOOD}
    first = climb(inputs, rungs, 0.1)
    assert climb(inputs, rungs, 0.1) == first
    assert len(trained) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda inputs: (replace(inputs, key="other"), GOOD),
        lambda inputs: (inputs, GOOD.model_copy(update={"seed": 1})),
        lambda inputs: (inputs, learning_from(GOOD, "train", "generated")),
    ],
)
def test_a_result_is_not_that_of_other_inputs(inputs, trained, change):
    climb(inputs, {"rung": GOOD}, 0.1)
    changed, params = change(inputs)
    climb(changed, {"rung": params}, 0.1)
    assert len(trained) == 2


def test_a_result_is_that_of_any_number_of_threads_and_any_goal(inputs, trained):
    climb(inputs, {"rung": GOOD}, 0.1)
    climb(inputs, {"rung": GOOD.model_copy(update={"threads": 2}), "next": BAD}, 0.05)
    assert trained == [GOOD]


def test_a_rung_that_was_given_up_is_trained_to_its_end_where_it_must_be(inputs, trained):
    climb(inputs, {"low": BAD, "high": GOOD}, 0.1)
    (found,) = climb(inputs, {"low": BAD}, 0.1).values()
    assert trained == [BAD, GOOD, BAD]
    assert found.row.status == "too inaccurate"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"row": 3}'])
def test_a_damaged_result_is_made_again(inputs, trained, content, capsys):
    first = climb(inputs, {"rung": GOOD}, 0.1)
    (path,) = inputs.scratch.glob("*/result.json")
    path.write_text(content)
    assert climb(inputs, {"rung": GOOD}, 0.1) == first
    assert len(trained) == 2
    assert "its work is repeated" in capsys.readouterr().out


def test_a_result_of_another_version_is_made_again(inputs, trained):
    climb(inputs, {"rung": GOOD}, 0.1)
    (path,) = inputs.scratch.glob("*/result.json")
    kept = json.loads(path.read_text())
    del kept["row"]["note"]
    path.write_text(json.dumps(kept))
    climb(inputs, {"rung": GOOD}, 0.1)
    assert len(trained) == 2


def test_a_result_whose_student_is_lost_is_made_again(inputs, trained):
    first = climb(inputs, {"rung": GOOD}, 0.1)
    shutil.rmtree(first["rung"].folder)
    assert climb(inputs, {"rung": GOOD}, 0.1) == first
    assert (first["rung"].folder / FILE).exists()
    assert len(trained) == 2


def test_a_training_that_nobody_waits_for_is_not_kept(inputs, trained):
    task = Task("rung", GOOD)
    stop = inputs.scratch / "stop"
    stop.parent.mkdir()
    stop.touch()
    with pytest.raises(candidates._Unwanted):
        candidates._result(inputs, task, stop)
    assert not any(path.exists() for path in task.results(inputs))


def test_an_epoch_that_takes_long_says_how_far_it_is(inputs, monkeypatch):
    lines = []
    log = candidates._Log(Task("rung", GOOD), 1, inputs.scratch / "stop", lines.append, "accuracy")
    start = log._started
    for seconds, share in ((10, 0.1), (40, 0.25), (60, 0.5), (90, 0.75), (160, 1.0)):
        monkeypatch.setattr(candidates.time, "monotonic", lambda seconds=seconds: start + seconds)
        log.progress(share)
    assert lines == ["rung: 25% trained, 120 s left", "rung: 75% trained, 30 s left"]


def transfer_set(inputs, data, real, generated):
    """Write a transfer set of texts with some logits, and as many generated ones with others."""
    texts = data.train["text"].tolist()
    logits = np.concatenate([real, generated])
    made = make_transfer([*texts, *texts], ["train"] * len(texts) + ["generated"] * len(texts), logits)
    made.texts.path.rename(inputs.ensemble / "pool.parquet")
    write_logits(inputs.ensemble, data, logits)


def test_all_sources_take_as_many_steps(inputs, trained, data):
    transfer_set(inputs, data, soft_labels(data), soft_labels(data))
    settings = learning_from(GOOD, "generated"), learning_from(GOOD, "train", "generated")
    list(train(inputs, [Task("rung", params) for params in settings]))
    assert [params.epochs for params in trained] == [12, 6]


def test_sources_that_hurt_are_left_out(inputs, trained, data):
    transfer_set(inputs, data, soft_labels(data), np.roll(soft_labels(data), 1, axis=1))
    assert choose_sources(inputs, "rung", GOOD) == REAL
    climb(inputs, {"rung": GOOD, "next": GOOD}, 0.1)
    assert len(trained) == 2  # that with the chosen sources not again


def test_sources_that_help_are_used(inputs, data):
    transfer_set(inputs, data, np.zeros_like(soft_labels(data)), soft_labels(data))
    assert choose_sources(inputs, "rung", GOOD) == ("train", "generated")


def test_only_tables_learn_from_chosen_sources(inputs, data):
    transfer_set(inputs, data, soft_labels(data), -soft_labels(data))
    table = learning_from(GOOD)
    rungs = {"table": table, "subwords": table.model_copy(update={"subwords": True})}
    found = with_sources(inputs, rungs, ("smallest", table))
    assert {name: params.sources for name, params in found.items()} == {
        "table": ("train",),
        "subwords": ("train", "generated"),
    }


def test_sources_are_not_compared_for_nothing(inputs, trained, data):
    transfer_set(inputs, data, soft_labels(data), -soft_labels(data))
    table = learning_from(GOOD)
    rungs = {"set by hand": GOOD, "layers": table.model_copy(update={"architecture": "transformer"})}
    found = with_sources(inputs, rungs, ("smallest", table))
    assert {name: params.sources for name, params in found.items()} == {
        "set by hand": ("train",),
        "layers": ("train", "generated"),
    }
    assert trained == []


def test_one_set_of_sources_needs_no_choice(inputs, trained, data):
    made = make_transfer(data.train["text"].tolist(), ["train"] * 240, soft_labels(data))
    made.texts.path.rename(inputs.ensemble / "pool.parquet")
    assert choose_sources(inputs, "rung", GOOD) == REAL
    assert trained == []


@pytest.mark.slow
def test_rungs_that_are_trained_at_once_are_those_that_are_trained_in_turn(inputs, tmp_path):
    rungs = {"low": BAD, "middle": GOOD, "high": GOOD.model_copy(update={"epochs": 2000})}
    alone = climb(inputs, rungs, 0.1)
    together = {name: rung.model_copy(update={"threads": 2}) for name, rung in rungs.items()}
    found = climb(replace(inputs, scratch=tmp_path / "other"), together, 0.1)
    assert [result.row for result in found.values()] == [result.row for result in alone.values()]
    assert (found["middle"].folder / FILE).read_bytes() == (alone["middle"].folder / FILE).read_bytes()
    assert len(list((tmp_path / "other").iterdir())) == 2  # nothing of the third, which was stopped


def test_a_teacher_that_is_a_table_has_only_students_over_words(inputs, bert):
    pieces = student_settings(architecture="bigru", subwords=True)
    layers = student_settings(architecture="transformer")
    assert obstacle(GOOD, inputs) is None
    for params in (pieces, layers):
        assert (
            obstacle(params, inputs) == "It begins with a Transformer's weights, and the teacher is a table or an LLM."
        )
        assert obstacle(params, replace(inputs, teacher=bert)) is None


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_teacher_with_fewer_layers_has_no_such_transformer(kind, inputs, data, tmp_path):
    folder = make_checkpoint(kind, tmp_path / "teacher", data.train["text"].tolist())
    reasons = {
        layers: obstacle(student_settings(architecture="transformer", layers=layers), replace(inputs, teacher=folder))
        for layers in (0, 2, 3)
    }
    assert reasons == {0: None, 2: None, 3: "It begins with 3 layers of the teacher, which has 2."}


def with_six_layers(inputs, tmp_path):
    """The inputs with a teacher of six layers, of which there is the configuration alone."""
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher/config.json").write_text(json.dumps({"model_type": "bert", "num_hidden_layers": 6}))
    return replace(inputs, teacher=tmp_path / "teacher")


def test_a_transformer_with_more_than_half_of_the_layers_is_not_worth_its_training(inputs, tmp_path):
    found = with_six_layers(inputs, tmp_path)
    words, half, more, whole = GOOD, *(student_settings(architecture="transformer", layers=n) for n in (3, 4, 0))
    assert not_worthwhile({"words": words, "half": half, "more": more}, found) == {}
    assert not_worthwhile({"words": words, "half": half, "more": more, "all": whole}, found) == {
        "more": "It has 4 of the teacher's 6 layers; all has all of them and needs no training. "
        "Set student.rung to more to train it."
    }
    assert not_worthwhile({"more": more, "all": whole}, replace(found, several_teachers=True)) == {}
    assert not_worthwhile({"words": words}, inputs) == {}  # whose teacher is a table


@pytest.mark.parametrize("layers", [None, 5])
def test_only_rungs_as_they_come_are_skipped(layers, inputs, tmp_path, monkeypatch):
    changed = {"transformer": Rung(architecture="transformer", layers=layers)} if layers else {}
    params = StudentParams(sources=["train"], ladder=LADDER | changed)
    climbed = []

    def climb(inputs, rungs, tolerance, tell):
        climbed.extend(rungs)
        row = ladder.Row("quantized", "transformer", "too inaccurate", validation_accuracy=1.0, difference=0.0)
        return {"quantized": Result(row, None, [], {}, tmp_path)}

    monkeypatch.setattr(candidates, "climb", climb)
    found = search(with_six_layers(inputs, tmp_path), params)
    assert climbed == [name for name in LADDER if layers or name != "transformer"]
    notes = {row.rung: row.note for row in found.ladder if row.status == "not needed"}
    assert (notes.get("transformer") is None) == bool(layers)


def test_a_teacher_of_another_kind_has_no_small_transformer(inputs, tmp_path):
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher/config.json").write_text(json.dumps({"model_type": "t5"}))
    found = replace(inputs, teacher=tmp_path / "teacher")
    layers = student_settings(architecture="transformer")
    assert obstacle(layers, found) == (
        "No small Transformer can be made of a teacher of the type t5 (supported: bert, camembert, distilbert, "
        "electra, mpnet, roberta, xlm-roberta)."
    )
    assert obstacle(student_settings(architecture="bigru", subwords=True), found) is None
    (tmp_path / "teacher/config.json").write_text(json.dumps({"model_type": "bert", "hidden_act": "silu"}))
    assert "a teacher with the activation silu (supported: gelu" in str(obstacle(layers, found))
