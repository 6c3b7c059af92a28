"""Run the README's examples of the student and its ONNX model unchanged."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from dvc.utils.hydra import apply_overrides

from potstill.core import params
from potstill.export import to_onnx
from potstill.prepare import demo
from tests.project import ROOT
from tests.students import KINDS, ODD, student

MODULES = ROOT / "tests" / "js" / "node_modules"
TEXTS = ["i feel rather wonderful today", "i was so startled"]


# Values of parameters, after -S or alone.
SETTINGS = re.findall(r"(?:-S '?|`)(\w+\.[\w.]+=(?:\[[^\]]*\]|[^ `',]+))", (ROOT / "README.md").read_text())


@pytest.mark.parametrize("setting", dict.fromkeys(SETTINGS))
def test_values_of_parameters_are_valid(setting, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    before = params.read(tmp_path / "params.yaml")
    apply_overrides(tmp_path / "params.yaml", [setting])
    after = params.read(tmp_path / "params.yaml")
    assert params.check(after) == []
    assert list(after["student"]["ladder"]) == list(before["student"]["ladder"])  # whose order has a meaning


def example(name):
    """Return the code block of a file name."""
    [code] = re.findall(rf"<!-- {name} -->\n\n```\w+\n(.*?)```\n", (ROOT / "README.md").read_text(), re.DOTALL)
    return code


@pytest.fixture
def folder(tmp_path):
    """Return a folder as the examples expect it, with a student and its ONNX model."""
    made = student("bigru")
    (tmp_path / "models/export").mkdir(parents=True)
    (tmp_path / "models/export/model.onnx").write_bytes(to_onnx.build(made).SerializeToString())
    return tmp_path, made


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
        pytest.skip("Spark wants Java")
    builder = pyspark.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    with builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate() as spark:
        found = {"spark": spark}
        exec("import pyarrow\nfrom potstill import Student\n" + example("spark.py"), found)
        rows = [(row.text, row.label) for row in found["labels"].collect()]
    assert sorted(rows) == sorted(zip(texts, labels, strict=True))
