"""The JavaScript runtime reads the same files and predicts what Python does."""

import dataclasses
import json
import shutil
import subprocess
import unicodedata

import numpy as np
import pytest

from potstill.prepare import demo
from potstill.runtime.explain import EXPLAINED, explain
from potstill.runtime.networks import ARCHITECTURES
from potstill.runtime.tokenizer import Vocabulary, Words
from tests.project import ROOT
from tests.runtime.test_model import student as trained
from tests.students import ODD, student

SCRIPT = ROOT / "src" / "potstill" / "web" / "student.js"
PROGRAM = """
import { readFileSync } from "node:fs";
import { load } from %s;
const { files, texts, label, below } = JSON.parse(readFileSync(0, "utf8"));
const out = [];
for (const file of files) {
  try {
    const student = await load(new Uint8Array(readFileSync(file)));
    const some = texts.filter((text) => text.length < below);
    const explained = some.map((text) => student.explain(text, label ?? undefined));
    out.push([texts.map(student.predict), explained, student.labels]);
  } catch (error) {
    out.push(error.message);
  }
}
console.log(JSON.stringify(out));
"""


@pytest.fixture
def javascript(tmp_path):
    """A function that runs students in Node.js: predictions, explanations of texts shorter than `below`, labels."""
    if not (node := shutil.which("node")):
        pytest.skip("Node.js is missing")
    program = tmp_path / "program.mjs"
    program.write_text(PROGRAM % json.dumps(SCRIPT.as_uri()))

    def run(files, texts, label=None, below=1000):
        given = json.dumps({"files": list(map(str, files)), "texts": texts, "label": label, "below": below})
        done = subprocess.run([node, str(program)], input=given, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_it_is_small():
    assert SCRIPT.stat().st_size <= 13_500


@pytest.mark.slow
@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
def test_it_predicts_what_python_does(javascript, strings, tmp_path):
    texts = demo.generate(10, 10, 300, 10, seed=0).test["text"].tolist() + [text[:50_000] for text in ODD]
    made = [student(architecture, strings) for architecture in ARCHITECTURES]
    files = [tmp_path / f"{one.shape.architecture}.pot" for one in made]
    for one, file in zip(made, files, strict=True):
        one.save(file)
    for one, (answers, explained, labels) in zip(made, javascript(files, texts), strict=True):
        assert labels == one.labels
        np.testing.assert_allclose(answers, one.predict_proba(texts), atol=1e-5)
        assert np.argmax(answers, 1).tolist() == one.predict_proba(texts).argmax(1).tolist()
        for found, text in zip(explained, [text for text in texts if len(text) < 1000], strict=True):
            label, probability, parts = explain(one, text)
            assert found["label"] == label
            assert found["probability"] == pytest.approx(probability, abs=1e-5)
            assert [(word["word"], word["known"]) for word in found["words"]] == [(p.word, p.known) for p in parts]
            np.testing.assert_allclose(
                [word["score"] for word in found["words"]], [part.score for part in parts], atol=1e-3, rtol=1e-3
            )


@pytest.mark.slow
def test_every_character_has_the_same_kind_as_in_python(javascript, tmp_path):
    made = student("mlp", max_ngram=1)
    made.save(tmp_path / "a.pot")
    # Node.js may know a later version of Unicode.
    points = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    texts = ["".join(f"a{chr(c)}ab{chr(c)}日{chr(c)} " for c in points[i : i + 4]) for i in range(0, len(points), 4)]
    [[answers, _, _]] = javascript([tmp_path / "a.pot"], texts)
    np.testing.assert_allclose(answers, made.predict_proba(texts), atol=1e-5)


@pytest.mark.parametrize("rows", [None, [2, 1, 2, 3, 1, 2]], ids=["own", "shared"])
def test_it_reads_quantized_weights_of_any_width(javascript, rows, tmp_path):
    files, made = [], []
    for bits in [(2, 4), (3, 5), (8, 8), (32, 32)]:
        one, _ = trained("bigru", bits, rows=rows)
        made.append(one)
        files.append(tmp_path / f"{bits}.pot")
        one.save(files[-1])
    for one, (answers, _, labels) in zip(made, javascript(files, ["one two café", "☕ three"]), strict=True):
        np.testing.assert_allclose(answers, one.predict_proba(["one two café", "☕ three"]), atol=1e-5)
        assert labels == one.labels


def test_another_class_can_be_explained(javascript, tmp_path):
    made = student("bigru")
    made.save(tmp_path / "a.pot")
    [[_, [found], _]] = javascript([tmp_path / "a.pot"], ["the not good ab"], "c1")
    label, _, parts = explain(made, "the not good ab", "c1")
    assert found["label"] == label == "c1"
    np.testing.assert_allclose([word["score"] for word in found["words"]], [part.score for part in parts], atol=1e-4)


@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
def test_only_the_first_words_of_a_long_text_are_explained(architecture, javascript, tmp_path):
    made = student(architecture)
    made = dataclasses.replace(made, vocabulary=dataclasses.replace(made.vocabulary, max_length=5000))
    made.save(tmp_path / "a.pot")
    text = "the not good ab unheard " * 210
    label, probability, parts = explain(made, text)
    assert len(parts) == EXPLAINED
    assert probability == pytest.approx(made.predict_proba(text).max(), abs=1e-5)
    for place in (0, 1, 999):
        less = text.split()
        less[place] = "unknown"
        [shares] = made.predict_proba([" ".join(less)])
        lost = np.log(probability) - np.log(shares[made.labels.index(label)])
        assert parts[place].score == pytest.approx(lost, abs=1e-5)
    [[_, [found], _]] = javascript([tmp_path / "a.pot"], [text], below=6000)
    assert [(word["word"], word["known"]) for word in found["words"]] == [(p.word, p.known) for p in parts]
    np.testing.assert_allclose([word["score"] for word in found["words"]], [p.score for p in parts], atol=1e-4)
    assert found["probability"] == pytest.approx(probability, abs=1e-5)


def test_foreign_and_damaged_files_are_refused(javascript, tmp_path):
    student("mlp").save(tmp_path / "a.pot")
    whole = (tmp_path / "a.pot").read_bytes()
    contents = [b"", b"{}", whole[:100], whole[:60] + b"?" + whole[61:], b"pot9" + whole[4:]]
    files = [tmp_path / f"{i}.pot" for i in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    expected = ["not a potstill model file"] * 2 + ["the file is damaged"] * 2 + ["not a potstill model file"]
    assert javascript(files, ["a"]) == expected


def test_a_text_may_have_65535_words(javascript, tmp_path):
    made = student("mlp")
    weights = made.weights | {"embedding.weight": made.weights["embedding.weight"][:3]}
    made = dataclasses.replace(made, vocabulary=Vocabulary(Words(["a", "a a"]), None, 2, 65_535), weights=weights)
    made.save(tmp_path / "a.pot")
    texts = ["a " * 65_535]
    [[answers, _, _]] = javascript([tmp_path / "a.pot"], texts)
    np.testing.assert_allclose(answers, made.predict_proba(texts), atol=1e-3)


@pytest.mark.parametrize("multi_label", [False, True], ids=["one label", "multi-label"])
def test_scores_of_near_certain_predictions_are_finite(multi_label, javascript, tmp_path):
    made = student("mlp")
    weights = {name: weight * np.float32(2e6) for name, weight in made.weights.items()}
    made = dataclasses.replace(made, weights=weights, thresholds=[0.5] * 3 if multi_label else None)
    made.save(tmp_path / "a.pot")
    for label in made.labels:
        [[answers, [found], _]] = javascript([tmp_path / "a.pot"], ["not good the x"], label)
        _, probability, parts = explain(made, "not good the x", label)
        assert max(abs(part.score) for part in parts) > 1e11
        np.testing.assert_allclose(
            [word["score"] for word in found["words"]], [p.score for p in parts], rtol=1e-4, atol=1e8
        )
        assert found["probability"] == pytest.approx(probability, abs=1e-5)
        np.testing.assert_allclose(answers, made.predict_proba(["not good the x"]), atol=1e-5)


def test_a_file_with_facts_is_read(javascript, tmp_path):
    made = dataclasses.replace(student("mlp"), facts={"version": "9"})
    made.save(tmp_path / "a.pot")
    [[answers, _, _]] = javascript([tmp_path / "a.pot"], ["the"])
    np.testing.assert_allclose(answers, made.predict_proba(["the"]), atol=1e-5)
