"""Run the commands and the examples of README.md and docs/ unchanged."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
from dvc.cli import parse_args
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from potstill.commands import predict
from potstill.core import params
from potstill.export import to_onnx
from potstill.prepare import demo
from potstill.teacher.params import TeacherParams
from potstill.terminal import Parser
from tests.profiles import with_profile
from tests.project import ENVIRONMENT, ROOT, free, kill
from tests.scopes import scoped
from tests.settings import TEACHER
from tests.students import KINDS, ODD, promising, student
from tests.teachers import make_teacher

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
MODULES = ROOT / "tests" / "js" / "node_modules"
TEXTS = ["i feel rather wonderful today", "i was so startled"]


def blocks(language):
    """Return the code blocks of a language, without those that a comment names."""
    found = re.findall(rf"(<!-- [\w.]+ -->\n\n)?^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return list(dict.fromkeys(code for named, code in found if not named))


# Values of parameters, after -S or alone.
SETTINGS = re.findall(r"(?:-S '?|`)(\w+\.[\w.]+=(?:\[[^\]]*\]|[^ `',\n]+))", TEXT)
COMMANDS = list(dict.fromkeys(line for code in blocks("bash") for line in code.splitlines()))
MODEL = [
    command
    for command in COMMANDS
    if command.startswith("potstill ") and not re.search(r"--engine ray|^potstill (distil|estimate)", command)
]
EXPERIMENTS = [command for command in COMMANDS if command.startswith("dvc exp run ")]
# What needs a project, a server or another environment, and the test that runs it.
ELSEWHERE = {
    "curl ": "tests/test_docs.py::test_the_service",
    "docker ": "tests/test_packaging.py::test_the_image_of_the_service_has_no_torch",
    "dvc artifacts get ": "tests/pipeline/test_pipeline.py::test_a_released_student_is_fetched_without_a_service",
    "dvc exp apply ": "tests/pipeline/test_pipeline.py::test_a_clone_pulls_what_a_new_student_needs",
    "dvc plots diff": "tests/pipeline/test_pipeline.py::test_a_clone_pulls_what_a_new_student_needs",
    "dvc remote ": "tests/pipeline/test_remotes.py::test_the_commands_of_the_page_on_teams",
    "dvc repro": "tests/pipeline/test_facts.py",
    "git add dvc.lock": "tests/pipeline/test_merge.py::test_a_conflict_in_dvc_lock_is_solved_by_a_run",
    "git commit --no-edit": "tests/pipeline/test_merge.py::test_a_conflict_in_dvc_lock_is_solved_by_a_run",
    "git merge ": "tests/pipeline/test_merge.py::test_a_conflict_in_dvc_lock_is_solved_by_a_run",
    "git commit -m ": "tests/pipeline/test_remotes.py::test_the_commands_of_the_page_on_teams",
    "gto register ": "tests/pipeline/test_pipeline.py::test_a_released_student_is_fetched_without_a_service",
    "make compare": "tests/pipeline/test_pipeline.py::test_a_clone_pulls_what_a_new_student_needs",
    "make qr": "tests/commands/test_qr.py",
    "make queue": "tests/pipeline/test_experiments.py",
    "make update": "tests/commands/test_update.py",
    "make show": "tests/pipeline/test_pipeline.py::test_a_queue_runs_and_shows_one_readable_row_each",
    "make setup": "tests/test_packaging.py::test_a_folder_with_a_blank_in_its_path_will_do",
    "pip install -c ": "tests/pipeline/test_remotes.py::test_the_commands_of_the_page_on_teams",
    "potstill cross-validate": "tests/pipeline/test_pipeline.py::test_folds_are_queued_as_experiments",
    "potstill distil ": "tests/commands/test_distil.py",
    "potstill estimate": "tests/commands/test_estimate.py",
    "potstill predict student.pot": "tests/bulk/test_distributed.py",
}
TRIVIAL = (
    ". .venv/bin/activate", "cd potstill", "git clone https://github.com/OWNER/potstill", "git push --tags",
    "pip install .",
)  # fmt: skip


def test_every_command_is_run():
    run_here = {*MODEL, *EXPERIMENTS, *TRIVIAL}
    assert set(TRIVIAL) <= set(COMMANDS)
    for command in set(COMMANDS) - run_here:
        (test,) = [test for start, test in ELSEWHERE.items() if command.startswith(start)]
        path, _, function = test.partition("::")
        assert f"def {function}" in (ROOT / path).read_text()
    assert all(any(command.startswith(start) for command in COMMANDS) for start in ELSEWHERE)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_knows_the_target(command):
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_make_clean_keeps_what_was_paid_for(tmp_path):
    for name in (".potstill/llm.sqlite", ".potstill/llm.sqlite-wal", ".potstill/student/x", ".venv/x", "data/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "-s", "-f", ROOT / "Makefile", "clean"], cwd=tmp_path, check=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".potstill/llm.sqlite", ".potstill/llm.sqlite-wal", "data/x"}


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_experiments_have_options_of_dvc_and_valid_parameters(command, tmp_path):
    args = parse_args(shlex.split(command)[1:])
    assert args.set_param or args.queue
    shutil.copy(ROOT / "params.yaml", tmp_path)
    overrides = [value for value in args.set_param if not re.search(r"=\d+(,\d+)+$", value)]  # of a sweep
    apply_overrides(tmp_path / "params.yaml", overrides)
    assert params.check(params.read(tmp_path / "params.yaml")) == []


@pytest.mark.parametrize("setting", dict.fromkeys(SETTINGS))
def test_values_of_parameters_are_valid(setting, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    before = params.read(tmp_path / "params.yaml")
    apply_overrides(tmp_path / "params.yaml", [setting])
    after = params.read(tmp_path / "params.yaml")
    assert params.check(after) == []
    assert list(after["student"]["ladder"]) == list(before["student"]["ladder"])  # whose order has a meaning


def test_presets_are_valid():
    found = [YAML(typ="safe").load(code) for code in blocks("yaml")]
    assert found
    for section in (content.get("teacher", content) for content in found):
        TeacherParams(**TEACHER | section | {"presets": TEACHER["presets"] | section["presets"]})


@pytest.fixture
def shell(tmp_path):
    """Run a line of the shell in a folder that has what the pages name, where `potstill` is this checkout's."""
    made = with_profile(TEXTS, promising(student("bigru"), TEXTS))
    (tmp_path / "models/export").mkdir(parents=True)
    made.save(tmp_path / "models/export/student.pot")
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    pd.DataFrame({"text": TEXTS, "body": TEXTS}).to_parquet(tmp_path / "tweets.parquet")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/potstill").write_text(f'#!/bin/sh\nexec {sys.executable} -m potstill "$@"\n')
    (tmp_path / "bin/potstill").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{ENVIRONMENT['PATH']}"
    return lambda line, start=subprocess.run, **options: start(
        ["bash", "-c", line], cwd=tmp_path, env=ENVIRONMENT | {"PATH": path}, **options
    )


@pytest.mark.slow
def test_the_commands_of_a_model(shell, tmp_path, bert):
    make_teacher(bert, tmp_path / "models/teacher/minilm", student("bigru").labels)
    for command in MODEL:
        if command.startswith(("potstill serve", "potstill cross-validate")):  # see tests of their own
            continue
        done = shell(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    labels = student("bigru").predict(TEXTS).tolist()
    answers = [json.loads(line)["label"] for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert answers == pd.read_parquet(tmp_path / "answers.parquet")["label"].tolist() == labels
    assert "<html" in (tmp_path / "demo.html").read_text()


@pytest.mark.slow
def test_the_service(shell):
    (line,) = [command for command in MODEL if command.startswith("potstill serve")]
    (request,) = [command for command in COMMANDS if command.startswith("curl ")]
    port = free()
    process = shell(f"exec {line} --port {port}", subprocess.Popen, start_new_session=True)
    try:
        for _ in range(300):
            try:
                urlopen(f"http://127.0.0.1:{port}/healthz")
                break
            except URLError:
                assert process.poll() is None
                time.sleep(0.1)
        done = shell(request.replace(":8000", f":{port}"), capture_output=True, text=True)
        (label,) = student("bigru").predict(TEXTS[:1])
        assert json.loads(done.stdout)["predictions"][0]["label"] == label
        for path in re.findall(r"^\| `GET (/\S*)` \|", TEXT, re.MULTILINE):
            assert urlopen(f"http://127.0.0.1:{port}{path}").status == 200
    finally:
        kill(process)


def test_the_options_of_a_ray_cluster():
    (command,) = [command for command in COMMANDS if "--engine ray" in command]
    parser = Parser()
    predict.arguments(parser)
    args = parser.parse_args(shlex.split(command)[2:])
    assert (args.engine, args.output) == ("ray", "s3://bucket/answers")


@pytest.mark.parametrize("code", blocks("python"))
def test_python_without_a_name(code, tmp_path, monkeypatch):
    made = student("bigru")
    (tmp_path / "models/export").mkdir(parents=True)
    made.save(tmp_path / "models/export/student.pot")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code, found)
    assert found["student"].to_bytes() == made.to_bytes()


def test_the_picture_is_a_classifier(tmp_path, monkeypatch, capsys):
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the source distribution holds no results")
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)
    exec(example("qr.py"), {})
    size = int(re.search(r"classifier\s+of\s+six\s+emotions,\s+([\d,]+)\s+bytes", TEXT)[1].replace(",", ""))
    assert (tmp_path / "emotions.pot").stat().st_size == size
    assert "joy" in capsys.readouterr().out


def example(name):
    """Return the code block of a name, which is the same wherever it occurs."""
    [code] = set(re.findall(rf"<!-- {name} -->\n\n```\w+\n(.*?)```\n", TEXT, re.DOTALL))
    return code


@pytest.fixture
def folder(tmp_path):
    """Return a folder as the examples expect it, with a student and its ONNX model."""
    made = student("bigru")
    (tmp_path / "models/export").mkdir(parents=True)
    (tmp_path / "models/export/model.onnx").write_bytes(to_onnx.build(made).SerializeToString())
    return tmp_path, made


def test_texts_out_of_scope_are_named(tmp_path, monkeypatch, capsys):
    made = scoped(student("bigru"))
    (tmp_path / "models/export").mkdir(parents=True)
    made.save(tmp_path / "models/export/student.pot")
    monkeypatch.chdir(tmp_path)
    exec(example("scope.py"), found := {})
    lines, inside = capsys.readouterr().out.splitlines(), made.in_scope(found["texts"])
    assert [line.startswith("none of these ") for line in lines] == (~inside).tolist()


@pytest.mark.parametrize("kind", ["fingerprints", "subwords"])
def test_a_model_that_takes_ids(kind, tmp_path):
    made = student("cnn", **KINDS[kind])
    (tmp_path / "models/export").mkdir(parents=True)
    made.save(tmp_path / "models/export/student.pot")
    (tmp_path / "models/export/model.onnx").write_bytes(to_onnx.build(made).SerializeToString())
    (tmp_path / "ids.py").write_text(example("ids.py"))
    assert run(sys.executable, "ids.py", cwd=tmp_path).splitlines() == expected(made)


@pytest.fixture
def node():
    if not shutil.which("node") or not MODULES.is_dir():
        pytest.skip("Node.js, or what `make test` installs with npm, is missing")
    return shutil.which("node")


def run(*command, cwd, given=""):
    done = subprocess.run(command, cwd=cwd, input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected(made):
    rows = zip(made.predict(TEXTS), made.predict_proba(TEXTS).max(1), TEXTS, strict=True)
    return [f"{label} {sure:.4f} {text}" for label, sure, text in rows]


def test_python(folder):
    where, made = folder
    (where / "example.py").write_text(example("example.py"))
    assert run(sys.executable, "example.py", cwd=where).splitlines() == expected(made)


def test_javascript(folder, node):
    where, made = folder
    (where / "node_modules").symlink_to(MODULES)
    (where / "example.mjs").write_text(example("example.mjs"))
    assert run(node, "example.mjs", cwd=where).splitlines() == expected(made)


@pytest.mark.slow
def test_javascript_answers_as_python_on_a_test_split_and_on_odd_text(folder, node):
    where, made = folder
    (where / "node_modules").symlink_to(MODULES)
    (where / "all.mjs").write_text(
        """
        import ort from "onnxruntime-web";
        import { readFileSync } from "node:fs";
        const texts = JSON.parse(readFileSync(0, "utf8"));
        const session = await ort.InferenceSession.create("models/export/model.onnx");
        const { label, probabilities } = await session.run({ text: new ort.Tensor("string", texts, [texts.length]) });
        console.log(JSON.stringify([label.data, Array.from(probabilities.data)]));
        """
    )
    texts = demo.generate(10, 10, 1000, 10, seed=0).test["text"].tolist()
    # onnxruntime's JavaScript ends a string at a NUL.
    texts += [text.encode("utf-8", "replace").decode().replace("\0", "?") for text in ODD]
    labels, probabilities = json.loads(run(node, "all.mjs", cwd=where, given=json.dumps(texts)))
    assert labels == made.predict(texts).tolist()
    np.testing.assert_allclose(np.reshape(probabilities, (len(texts), -1)), made.predict_proba(texts), atol=1e-5)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Return a folder as the examples of tables expect it, and the predictions of a student for its texts."""
    made = student("attention")
    (tmp_path / "models/export").mkdir(parents=True)
    made.save(tmp_path / "models/export/student.pot")
    texts = [*(text for text in ODD if text.isprintable()), *TEXTS] * 50
    pd.DataFrame({"text": texts}).to_parquet(tmp_path / "tweets.parquet")
    monkeypatch.chdir(tmp_path)
    return texts, made.predict(texts).tolist()


@pytest.mark.slow
def test_pandas_polars_and_duckdb(tables):
    texts, labels = tables
    assert len(set(labels)) > 1
    found = {}
    exec(example("tables.py"), found)
    assert found["tweets"]["label"].tolist() == labels
    assert found["answered"].collect()["label"].to_list() == labels
    assert sorted(found["labels"].fetchall()) == sorted(zip(texts, labels, strict=True))


@pytest.mark.slow
@pytest.mark.faults
def test_spark(tables):
    texts, labels = tables
    pyspark = pytest.importorskip("pyspark.sql", reason="pyspark is missing: pip install pyspark")
    if not shutil.which("java"):
        pytest.skip("Spark requires Java")
    builder = pyspark.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    with builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate() as spark:
        found = {"spark": spark}
        exec("import pyarrow\nfrom potstill import Student\n" + example("spark.py"), found)
        rows = [(row.text, row.label) for row in found["labels"].collect()]
    assert sorted(rows) == sorted(zip(texts, labels, strict=True))
