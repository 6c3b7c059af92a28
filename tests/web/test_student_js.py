"""The JavaScript runtime reads the same files and predicts what Python does."""

import dataclasses
import unicodedata

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.prepare import demo
from potstill.runtime.explain import EXPLAINED, explain
from potstill.runtime.file import STRINGS, FormatError
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from tests.forged import FORGED, GUARANTEE, METRICS, limits, ones_student, with_facts, with_header, without_fact
from tests.javascript import SCRIPT, in_scope
from tests.scopes import TEXTS, scoped
from tests.students import KINDS, ODD, multi_label_student, promising, student
from tests.torch_students import SHORT_TEXTS, student_and_network
from tools import fuzz


def test_it_is_small():
    assert SCRIPT.stat().st_size <= 17_000


def compare(javascript, made, texts, folder):
    """Compare labels, probabilities and explanations in JavaScript with those in Python; return the probabilities."""
    files = [folder / f"{one.shape.architecture}.pot" for one in made]
    for one, file in zip(made, files, strict=True):
        one.save(file)
    results = javascript(files, texts)
    for one, (probabilities, explained, labels) in zip(made, results, strict=True):
        assert labels == one.labels
        np.testing.assert_allclose(probabilities, one.predict_proba(texts), atol=1e-5)
        for found, text in zip(explained, [text for text in texts if len(text) < 1000], strict=True):
            label, probability, parts = explain(one, text)
            assert found["label"] == label
            assert found["probability"] == pytest.approx(probability, abs=1e-5)
            assert [(word["word"], word["known"]) for word in found["words"]] == [(p.word, p.known) for p in parts]
            np.testing.assert_allclose(
                [word["score"] for word in found["words"]], [part.score for part in parts], atol=1e-3, rtol=1e-3
            )
    return [probabilities for probabilities, _, _ in results]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_predicts_what_python_does(javascript, kind, tmp_path):
    texts = demo.generate(10, 10, 300, 10, seed=0).test["text"].tolist() + [text[:50_000] for text in ODD]
    made = [student(architecture, **KINDS[kind]) for architecture in ARCHITECTURES]
    for one, probabilities in zip(made, compare(javascript, made, texts, tmp_path), strict=True):
        assert np.argmax(probabilities, 1).tolist() == one.predict_proba(texts).argmax(1).tolist()


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
        one, _ = student_and_network("bigru", bits, rows=rows)
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


@pytest.mark.slow
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


def test_it_knows_the_same_texts_as_out_of_scope(tmp_path):
    made = [*(scoped(student(name)) for name in ARCHITECTURES), scoped(multi_label_student("mlp"))]
    made += [scoped(student("mlp"), {}), student("mlp")]
    files = [tmp_path / f"{i}.pot" for i in range(len(made))]
    for one, file in zip(made, files, strict=True):
        one.save(file)
    *found, unknown = in_scope(tmp_path, files, TEXTS)
    assert found == [one.in_scope(TEXTS).tolist() for one in made[:-1]]
    assert unknown == [None] * len(TEXTS)


@pytest.fixture(scope="module")
def in_javascript():
    running = fuzz.JavaScript()
    if not running.process:
        pytest.skip("Node.js is missing")
    yield lambda files, texts=("a b",): running.answers(files, [list(texts)] * len(files))
    running.close()


def test_javascript_refuses_forged_files(in_javascript):
    answers = in_javascript(list(FORGED.values()))
    assert [name for name, answer in zip(FORGED, answers, strict=True) if "error" not in answer] == []


def test_an_architecture_that_was_removed_is_named(in_javascript, tmp_path):
    content = with_header(code=STRINGS | 4)
    (tmp_path / "a.pot").write_bytes(content)
    with pytest.raises(PotstillError) as caught:
        Student.load(tmp_path / "a.pot")
    assert str(caught.value) == (
        f"{tmp_path / 'a.pot'}: it cannot be loaded: potstill no longer supports its architecture, bilstm. "
        "Train a student of another one, such as bigru."
    )
    assert in_javascript([content]) == [{"error": "the architecture bilstm is no longer supported"}]


def test_it_abstains_where_python_does(in_javascript):
    made = student("bigru")
    texts = [text for text in ODD if len(text) < 1000] + SHORT_TEXTS
    [limit, *_] = promising(made, texts).facts["guarantee"]["thresholds"]
    made = promising(made, texts, per_class=True, thresholds=[limit, None, 0.0])
    [found] = in_javascript([made.to_bytes()], texts)
    expected = [label is not None for label in made.predict(texts, abstain=True)]
    assert found["answers"] == expected
    assert True in expected
    assert False in expected


def test_unusual_valid_files_are_read(in_javascript):
    made = [
        with_facts(),
        with_facts(labels=["evil"], parameters="none", x={"y": [1, None, "\x1b"]}),
        without_fact("metrics"),
        with_facts(rows={**fuzz.FACTS["rows"], "train": 2**53 - 1, "test": 5.0}, teachers={"a": 0, "b": 1.0}),
        with_facts(untested_teachers=[], labelled_by_teacher=["test"]),
        with_facts(guarantee=GUARANTEE),
        with_facts(guarantee={**GUARANTEE, "thresholds": [1, 0.0], "test": {"rows": 0, "answered": 0, "kept": None}}),
        with_facts(
            untested_teachers=["table"], metrics={"test": {**METRICS["test"], "log_loss": 27.6, "matthews": -1}}
        ),
        ones_student(Words([]), rows=[]).to_bytes(),
        ones_student(Fingerprints([], [0], 32), facts={"words": ""}).to_bytes(),
        ones_student(Fingerprints([0, 2**32 - 1], [0], 32), facts={"words": "b\na"}).to_bytes(),
        ones_student(labels=["\ufeff", "\t", "\x1b[31m"]).to_bytes(),
    ]
    for content, theirs in zip(made, in_javascript(made), strict=True):
        ours = Student.from_bytes(content)
        assert theirs["labels"] == ours.labels
        np.testing.assert_allclose(theirs["shares"], ours.predict_proba(["a b"]), atol=1e-6)


@pytest.mark.slow
def test_javascript_and_python_have_the_same_limits(in_javascript):
    allowed, beyond = zip(*limits(), strict=True)
    for content in allowed:
        Student.from_bytes(content)
    for content in beyond:
        with pytest.raises(FormatError):
            Student.from_bytes(content)
    refused = ["error" in answer for answer in in_javascript([*allowed, *beyond])]
    assert refused == [False] * len(allowed) + [True] * len(beyond)


@pytest.mark.parametrize("kind", KINDS)
def test_it_predicts_the_labels_of_multi_label_students(javascript, kind, tmp_path):
    texts = [text for text in ODD if len(text) < 1000]
    made = [multi_label_student(architecture, **KINDS[kind]) for architecture in ARCHITECTURES]
    compare(javascript, made, texts, tmp_path)
