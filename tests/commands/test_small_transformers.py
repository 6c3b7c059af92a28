"""What the commands do with a small Transformer."""

import json

import numpy as np
import pytest

from potstill.commands import serve
from potstill.core.errors import PotstillError
from tests.command import call
from tests.transformers import SHAPE, TOKENS, multi_label_transformer, transformer
from tools import fuzz


@pytest.fixture
def path(tmp_path):
    transformer(facts=fuzz.FACTS).save(tmp_path / "a.pot")
    return tmp_path / "a.pot"


def test_inspect_describes_it(path, capsys):
    said = call(capsys, "inspect", path)
    assert f"vocabulary  {len(TOKENS)} tokens of its teacher" in said
    assert f"max length  {SHAPE.positions} tokens" in said
    assert "runs in     onnxruntime" in said
    assert "50.00% of 5 correct" in said
    found = json.loads(call(capsys, "inspect", "--json", path))
    assert (found["architecture"], found["tokens"], found["layers"]) == ("transformer", len(TOKENS), 2)
    assert found["informative"] == {}


def test_predict_classifies_with_it(path, capsys, tmp_path):
    (tmp_path / "in.txt").write_text("good\nnot good\n")
    call(capsys, "predict", path, tmp_path / "in.txt", "-o", tmp_path / "out.txt")
    expected = transformer().predict(["good", "not good"])
    assert (tmp_path / "out.txt").read_text().splitlines() == expected.tolist()


def test_predict_writes_the_labels_of_a_multi_label_one(capsys, tmp_path):
    made = multi_label_transformer()
    made.save(tmp_path / "a.pot")
    (tmp_path / "in.txt").write_text("good\nab ?\n")
    call(capsys, "predict", tmp_path / "a.pot", tmp_path / "in.txt", "-o", tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [set(row["labels"]) for row in rows] == [set(labels) for labels in made.predict(["good", "ab ?"])]


def test_explain_leaves_out_words(path, capsys):
    found = json.loads(call(capsys, "explain", "--json", path, "not good, at all"))
    assert [row["word"] for row in found["words"]] == ["not", "good,", "at", "all"]
    whole, without = transformer().predict_proba(["not good, at all", "not at all"])
    number = transformer().labels.index(found["label"])
    assert found["words"][1]["score"] == pytest.approx(np.log(whole[number] / without[number]), abs=1e-4)


def test_serve_says_that_no_browser_runs_it(path):
    made = transformer(labels=["<b>", "yes", "no"])
    html = serve.front_page(made, made.to_bytes())
    assert "<h1>Is it &lt;b&gt;, yes or no?</h1>" in html
    assert "does not run in a browser" in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize("command", ["qr", "page"])
def test_what_requires_a_student_over_words_says_so(path, capsys, command, tmp_path):
    with pytest.raises(PotstillError, match=r"requires a student over words \(found: transformer\)"):
        call(capsys, command, path, "-o", tmp_path / "out")
