"""An LLM as the teacher: the stages that ask it, and those that do not notice."""

import json
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import pandas as pd
import pytest
from ruamel.yaml import YAML

from potstill.core import paths
from potstill.core.errors import PotstillError
from potstill.evaluate.metrics import measures
from potstill.runtime.model import Student
from potstill.scoring.llm.params import PROMPT
from tests.pipeline.stages import NETWORK, run_stages
from tests.project import ENVIRONMENT, ROOT, started, until
from tests.tasks import FEELINGS, make_mixed_texts, make_texts

pytestmark = pytest.mark.slow
pytest.importorskip("openai", reason="needs openai: the extra llm installs it")

UNAVAILABLE = "It begins with a Transformer's weights, and the teacher is a table or an LLM."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files for `prepare`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVCLIVE_LOGLEVEL", "ERROR")
    (tmp_path / "mine").mkdir()
    for i, (split, number) in enumerate({"train": 240, "validation": 60, "test": 60}.items()):
        table = make_texts(number, i)
        table.assign(label=table["label"].map(list(FEELINGS).__getitem__)).to_csv(f"mine/{split}.csv", index=False)
    make_texts(200, 3)["text"].to_csv("mine/more.txt", index=False, header=False)
    return tmp_path


def teacher(server, **llm):
    preset = {"llm": {"endpoint": server.endpoint, "model": "fake", "orders": 1, **llm}}
    return {"checkpoints": ["mine"], "presets": {"mine": preset}}


def stages(monkeypatch, teacher, names, student=None):
    changes = {"teacher": teacher, **({"student": student} if student else {})}
    run_stages(monkeypatch, NETWORK, changes, names, unlabelled=["more.txt"])


def test_the_rest_of_the_pipeline_does_not_notice(folder, server, monkeypatch, capsys):
    lost, left_out = make_texts(60, 2)["text"].iloc[0], make_texts(200, 3)["text"].iloc[1]  # of test, of the pool
    server.mute = {lost, left_out}
    ladder = {"words": NETWORK, "pieces": {"subwords": True}, "layers": {"architecture": "transformer"}}
    student = dict.fromkeys(NETWORK) | {"ladder": ladder, "tolerance": 0.1, "threads": 1}
    names = ("prepare", "baseline", "teacher", "pool", "label", "ensemble", "student", "export", "evaluate")
    stages(monkeypatch, teacher(server), names, student)

    said = capsys.readouterr().out
    texts = {*pd.read_parquet(paths.POOL / "pool.parquet")["text"]}
    assert f"1 of {len(texts)} texts of the pool are left out: mine has no label for them" in said
    assert max(server.texts.values()) == 1
    found = measures.read(measures.Scores, paths.METRICS / "evaluate/metrics.json", "models")  # as `report` does
    assert found["mine"]["accuracy"] == pytest.approx(59 / 60, abs=1e-6)  # one that it has not answered is wrong
    assert (found["mine"]["parameters"], found["mine"]["bytes"]) == (None, None)
    assert found["student"]["versus_teacher"]
    facts = json.loads((paths.METRICS / "label/mine/metrics.json").read_text())["label"]["mine"]
    assert (facts["rows"], facts["left_out"]) == (len(texts), 1)
    assert json.loads((paths.METRICS / "teacher/mine/metrics.json").read_text())["mine"]["left_out"] == {
        "test": 1,
        "validation": 0,
    }
    test = pd.read_csv(paths.METRICS / "teacher/mine/test.csv").filter(like="logit ")
    assert test.isna().all(axis=1).sum() == test.isna().any(axis=1).sum() == 1
    assert "mine has not answered 1 of 60 test texts" in said
    assert Student.load("models/export/student.pot").facts["teachers"]["mine"] == found["mine"]["accuracy"]
    rungs = {row["rung"]: row for row in json.loads((paths.METRICS / "student/ladder.json").read_text())}
    assert (rungs["pieces"]["note"], rungs["layers"]["note"]) == (UNAVAILABLE, UNAVAILABLE)
    assert Student.load("models/export/student.pot").predict("i feel gloomy")[0] == "sadness"


def test_a_multi_label_task_is_labelled(folder, server, monkeypatch):
    for i, (split, number) in enumerate({"train": 240, "validation": 60, "test": 60}.items()):
        table = make_mixed_texts(number, i)
        names = ["|".join(list(FEELINGS)[id_] for id_ in ids) for ids in table["label"]]
        table.assign(label=names).to_csv(f"mine/{split}.csv", index=False)
    changes = {"teacher": teacher(server, examples=2)}
    run_stages(monkeypatch, NETWORK, changes, ("prepare", "teacher", "pool", "label", "ensemble"), multi_label=True)
    assert max(server.texts.values()) == 1
    assert json.loads((paths.METRICS / "teacher/mine/metrics.json").read_text())["mine"]["validation_accuracy"] > 0.98
    logits = pd.read_parquet(paths.ENSEMBLE / "logits.parquet")
    for text, row in zip(pd.read_parquet(paths.ENSEMBLE / "pool.parquet")["text"], logits.to_numpy(), strict=True):
        assert (row > 0).tolist() == [bool(set(FEELINGS[name]) & set(text.split())) for name in logits.columns]


def test_an_unchanged_prompt_is_not_asked_about_again_and_a_changed_one_is(folder, server, monkeypatch, capsys):
    names = ("prepare", "teacher", "pool", "label")
    stages(monkeypatch, teacher(server), names)
    asked = server.texts.total()
    stages(monkeypatch, teacher(server, concurrency=2, max_requests=asked, input_price=1.0), names[1:])
    assert server.texts.total() == asked
    (folder / "mine.txt").write_text(PROMPT.read_text().replace("Classify", "Please classify"))
    capsys.readouterr()
    stages(monkeypatch, teacher(server, prompt="mine.txt"), names[1:])
    assert server.texts.total() == 2 * asked
    note = "note: DVC does not track mine.txt. After changing it, run `dvc repro -f -s teacher@mine` and `dvc repro`"
    assert note in capsys.readouterr().out
    assert "input_sha256" in json.loads((paths.METRICS / "teacher/mine/metrics.json").read_text())["mine"]


def test_an_llm_is_not_adapted(folder, server, monkeypatch):
    with pytest.raises(PotstillError, match="mine: an LLM cannot be trained"):
        stages(monkeypatch, teacher(server) | {"mlm_epochs": 1}, ("prepare", "teacher"))
    assert not server.bodies


@contextmanager
def asking(folder, stage):
    with started(folder, sys.executable, ROOT / "src" / f"{stage}.py", "mine") as found:
        yield found


@pytest.mark.parametrize("stage", ["teacher", "label"])
def test_killed_half_way_no_text_is_asked_about_twice(stage, folder, server, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(ROOT / "src"))
    before = ("prepare", "teacher", "pool")
    stages(monkeypatch, teacher(server, concurrency=4), before[:1] if stage == "teacher" else before)
    server.texts = Counter()
    server.wait = 0.02
    with asking(folder, stage) as (process, log):
        assert until(lambda: server.texts.total() > 50, process), log()
    assert process.returncode < 0
    killed_at = server.texts.total()
    server.wait = 0
    command = [sys.executable, ROOT / "src" / f"{stage}.py", "mine"]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"texts are sent to {server.endpoint} (this machine), to be labelled by fake"
    tables = [paths.POOL / "pool.parquet"]
    if stage == "teacher":
        tables = [paths.PREPARED / f"{name}.parquet" for name in ("validation", "test")]
    everything = {text for table in tables for text in pd.read_parquet(table)["text"]}
    assert set(server.texts) == everything
    assert killed_at < len(everything)
    twice = server.texts.total() - len(everything)
    assert twice <= 4  # whose answers were under way


def test_the_limits_stop_a_stage_and_raising_them_goes_on(folder, server, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(ROOT / "src"))
    stages(monkeypatch, teacher(server, max_requests=70), ("prepare",))
    command = [sys.executable, ROOT / "src" / "teacher.py", "mine"]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    says = "error: teacher.presets.mine.llm.max_requests: 70 requests are sent, and the next would exceed 70. Raise it "
    assert says in done.stderr.splitlines()[-1]
    assert not (paths.TEACHER / "mine").exists()
    params = YAML(typ="safe").load(paths.PARAMS)
    params["teacher"]["presets"]["mine"]["llm"]["max_requests"] = 1000
    YAML().dump(params, paths.PARAMS)
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert set(server.texts.values()) == {1}
    assert server.texts.total() == 120
