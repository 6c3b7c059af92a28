"""The stage `student`: which candidates it trains, what it writes, and what it keeps when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from potstill.core import paths
from potstill.core.errors import PotstillError
from potstill.runtime.model import FILE, Student
from potstill.student import candidates
from potstill.student.params import PARAMS
from tests.pipeline.stages import run_stages
from tests.project import ENVIRONMENT, ROOT, until
from tests.tasks import FEELINGS, make_mixed_texts, make_texts

pytestmark = pytest.mark.slow

BEFORE = ("prepare", "teacher", "pool", "label", "ensemble")
WORDS = {"architecture": "mlp", "hidden": 8, "vocab_size": 60, "epochs": 6, "learning_rate": 0.05, "batch_size": 32}
BAD = WORDS | {"hidden": 2, "learning_rate": 1.0e-6}
PIECES = {"subwords": True, "vocab_size": 100, "epochs": 1}
LADDER = {"low": BAD, "middle": WORDS, "high": WORDS | {"hidden": 16}, "pieces": PIECES}
NETWORK = {"vocab_size": 60, "epochs": 1}  # of the baseline, which is not run
UNAVAILABLE = "It begins with a Transformer's weights, and the teacher is a table or an LLM."
NUMBERS = ("parameters", "bytes", "validation_accuracy", "difference", "difference_low", "difference_high")


def write(tables, name="answers.csv", wrong=0):
    """Write the files for `prepare`, and the answers of a teacher of which the first `wrong` of each split are not."""
    names = list(FEELINGS)
    parts = []
    for split, table in tables.items():
        ids = [held if isinstance(held, list) else [held] for held in table["label"]]
        labels = ["|".join(names[i] for i in held) for held in ids]
        table[["text"]].assign(label=labels).to_csv(f"mine/{split}.csv", index=False)
        answers = np.full((len(table), 3), 0.02)
        for row, held in zip(answers, ids, strict=True):
            row[held] = 0.96
        answers[:wrong] = np.roll(answers[:wrong], 1, axis=1)
        parts.append(pd.DataFrame(answers, columns=names).assign(text=table["text"]))
    pd.concat(parts).to_csv(name, index=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    write({split: make_texts(number, i) for i, (split, number) in enumerate(SIZES.items())})
    return tmp_path


SIZES = {"train": 240, "validation": 60, "test": 60}


@pytest.fixture
def stage(folder, monkeypatch):
    """A function that runs the stage on a transfer set, which is made at first, and returns the rows of the ladder."""
    monkeypatch.setenv("DVCLIVE_LOGLEVEL", "ERROR")
    made = []

    def run(changes=None, prepare=None, **student):
        settings = dict.fromkeys(NETWORK) | {"ladder": LADDER, "tolerance": 0.1, "threads": 1} | student
        stages = ("student",) if made else (*BEFORE, "student")
        run_stages(monkeypatch, NETWORK, {"student": settings} | (changes or {}), stages, **prepare or {})
        made.append(stages)
        return json.loads((paths.METRICS / "student/ladder.json").read_text())

    return run


def statuses(rows):
    return {row["rung"]: row["status"] for row in rows}


def results():
    return {path: path.stat().st_mtime_ns for path in paths.SCRATCH.glob("student/*/*/*.json")}


def test_the_ladder_is_climbed_to_the_first_rung_that_keeps_the_teachers_accuracy(stage):
    rows = stage()
    assert statuses(rows) == {
        "low": "stopped early", "middle": "chosen", "high": "not needed", "pieces": "unavailable"
    }  # fmt: skip
    low, middle, high, pieces = rows
    assert set(low) == {"rung", "architecture", "status", "note", *NUMBERS}
    assert all(middle[key] is not None for key in NUMBERS)
    assert all(row[key] is None for row in (high, pieces) for key in NUMBERS)
    assert (low["note"], high["note"], pieces["note"]) == (None, None, UNAVAILABLE)
    student = Student.load(paths.STUDENT / FILE)
    assert middle["bytes"] == (paths.STUDENT / FILE).stat().st_size
    assert middle["parameters"] == student.parameters
    validation = pd.read_parquet(paths.PREPARED / "validation.parquet")
    right = student.predict_proba(validation["text"].tolist()).argmax(1) == validation["label"]
    assert middle["validation_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert middle["difference"] == pytest.approx(right.mean() - 1, abs=1e-6)  # the teacher is always right

    written = json.loads((paths.STUDENT / PARAMS).read_text())
    assert (written["hidden"], written["sources"]) == (8, ["train"])
    metrics = json.loads((paths.METRICS / "student/metrics.json").read_text())["student"]
    assert (metrics["rung"], metrics["sources"], metrics["bytes"]) == ("middle", "train", middle["bytes"])
    log = (paths.METRICS / "student/plots/metrics/validation_accuracy.tsv").read_text().splitlines()
    assert len(log) == 1 + 6


def test_the_order_of_the_ladder_is_that_of_the_parameters(stage):
    rows = stage(ladder=dict(reversed(LADDER.items())))
    assert statuses(rows) == {
        "pieces": "unavailable", "high": "chosen", "middle": "not needed", "low": "not needed"
    }  # fmt: skip


def test_a_key_set_by_hand_trains_exactly_one_student(stage):
    (row,) = stage(hidden=5, epochs=2)
    assert (row["rung"], row["architecture"], row["status"]) == ("by hand", "bigru", "chosen")
    assert json.loads((paths.STUDENT / PARAMS).read_text())["hidden"] == 5
    assert len(results()) == 1
    assert Student.load(paths.STUDENT / FILE).shape.hidden == 5


def test_a_rung_that_is_named_is_trained_alone_however_inaccurate(stage):
    assert statuses(stage(rung="low")) == {
        "low": "chosen", "middle": "not needed", "high": "not needed", "pieces": "unavailable"
    }  # fmt: skip
    assert len(results()) == 1
    rows = stage(rung="low", hidden=3)
    assert statuses(rows)["low"] == "chosen"
    assert Student.load(paths.STUDENT / FILE).shape.hidden == 3


def test_without_a_rung_that_can_be_trained_the_stage_ends_in_one_line(stage):
    with pytest.raises(
        PotstillError, match=r"no candidate can be trained: it begins .* is a table or an LLM\. Choose a "
    ):
        stage(rung="pieces")
    assert not paths.STUDENT.exists()


def test_the_tolerance_decides_and_trains_nothing_again(stage, monkeypatch):
    monkeypatch.setattr(candidates, "HOPELESS", 1.0)
    worse = WORDS | {"vocab_size": 12, "epochs": 12}
    ladder = {"low": worse, "high": WORDS}
    found = {row["rung"]: row["difference"] for row in stage(ladder=ladder, tolerance=0)}
    assert found["low"] < found["high"]
    before = results()
    assert statuses(stage(ladder=ladder, tolerance=-found["low"])) == {"low": "chosen", "high": "not needed"}
    assert results() == before


def test_rungs_are_trained_alike_in_parallel(stage):
    rows = stage(threads=1, tolerance=0.0)
    model, before = (paths.STUDENT / FILE).read_bytes(), results()
    assert stage(threads=0, tolerance=0.0) == rows
    assert results() == before  # the number of threads does not matter
    for path in before:
        path.unlink()
    assert stage(threads=0, tolerance=0.0) == rows
    assert (paths.STUDENT / FILE).read_bytes() == model


def test_sources_are_chosen_with_the_smallest_rung_or_set_by_hand(stage, capfd):
    ladder = {"low": WORDS, "high": WORDS | {"hidden": 16}}
    stage(ladder=ladder)
    pool, logits = paths.ENSEMBLE / "pool.parquet", paths.ENSEMBLE / "logits.parquet"
    texts, scores = pd.read_parquet(pool), pd.read_parquet(logits)
    misleading = pd.DataFrame(np.roll(scores.to_numpy(), 1, axis=1), columns=scores.columns)
    for path, tables in (
        (pool, [texts.assign(source=source) for source in ("train", "replace", "generated")]),
        (logits, [scores, scores, misleading]),
    ):
        path.unlink()
        pd.concat(tables, ignore_index=True).to_parquet(path, index=False)
    before = set(results())
    capfd.readouterr()
    stage(ladder=ladder)
    told = [line for line in capfd.readouterr().out.splitlines() if "nats from its teacher" in line]
    divergences = {line.split(": ")[0]: float(line.split(": ")[1].split()[0]) for line in told}
    assert list(divergences) == ["low on train", "low on train, replace", "low on train, replace, generated"]
    best = min(divergences, key=divergences.get)
    metrics = json.loads((paths.METRICS / "student/metrics.json").read_text())["student"]
    assert f"low on {metrics['sources']}" == best != "low on train, replace, generated"
    assert len(set(results()) - before) == 3  # of which the best is the first rung of the ladder
    stage(ladder=ladder, sources=["generated"])
    assert json.loads((paths.STUDENT / PARAMS).read_text())["sources"] == ["generated"]
    assert len(set(results()) - before) == 5


def test_several_teachers_are_one_teacher(stage, folder):
    write({split: make_texts(number, i) for i, (split, number) in enumerate(SIZES.items())}, "worse.csv", wrong=20)
    presets = {"mine": {"checkpoint": "answers.csv"}, "worse": {"checkpoint": "worse.csv"}}
    both = {"teacher": {"checkpoints": list(presets), "presets": presets}, "label": {"teachers": list(presets)}}
    rows = stage(both)
    assert statuses(rows)["pieces"] == "unavailable"
    (chosen,) = (row for row in rows if row["status"] == "chosen")
    assert chosen["difference"] >= -0.1


def test_a_teacher_without_answers_on_validation_is_compared_with_nothing(stage, folder):
    answers = pd.read_csv("answers.csv")
    held_out = pd.read_csv("mine/validation.csv")["text"]
    answers[~answers["text"].isin(held_out)].to_csv("answers.csv", index=False)
    rows = stage()
    assert statuses(rows) == {
        "low": "too inaccurate", "middle": "chosen", "high": "too inaccurate", "pieces": "unavailable"
    }  # fmt: skip
    assert all(row["difference"] is None for row in rows)


def test_labels_may_be_several(stage, folder):
    write({split: make_mixed_texts(number, i) for i, (split, number) in enumerate(SIZES.items())})
    ladder = {"low": BAD, "high": WORDS | {"epochs": 20, "hidden": 16}}
    rows = stage(prepare={"multi_label": True}, ladder=ladder)
    assert statuses(rows) == {"low": "stopped early", "high": "chosen"}
    assert Student.load(paths.STUDENT / FILE).thresholds == [0.5] * 3


def test_the_metric_selects_the_epoch(stage):
    rows = stage(metric="macro_f1", ladder={"low": WORDS})
    metrics = json.loads((paths.METRICS / "student/metrics.json").read_text())["student"]
    table = pd.read_csv(paths.METRICS / "student/plots/metrics/validation_macro_f1.tsv", sep="\t")
    assert metrics["validation_macro_f1"] == pytest.approx(table["validation_macro_f1"].iloc[3:].max(), abs=1e-4)
    assert rows[0]["status"] == "chosen"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stage_that_was_killed_trains_no_candidate_twice(stage, folder, threads):
    ladder = {"low": BAD, "middle": WORDS | {"epochs": 9}, "high": WORDS | {"epochs": 400}}
    undisturbed = stage(ladder=ladder, tolerance=0, threads=threads)
    model, kept = (paths.STUDENT / FILE).read_bytes(), results()
    for path in kept:
        path.unlink()
    command = [sys.executable, str(ROOT / "src/student.py")]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, start_new_session=True)
    assert until(results, process), "too fast to be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = results()
    assert 1 <= len(left) < 3
    time.sleep(0.01)
    assert stage(ladder=ladder, tolerance=0, threads=threads) == undisturbed
    assert left.items() <= results().items()
    assert (paths.STUDENT / FILE).read_bytes() == model
