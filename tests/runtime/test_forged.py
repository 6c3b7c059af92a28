"""Forged model files are refused by both Python and JavaScript, at little cost."""

import dataclasses
import json
import time
import tracemalloc
import zlib

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.runtime import facts, file
from potstill.runtime.explain import EXPLAINED
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES, LARGE, QuantizedTable, Shape
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from tools import fuzz


def student(known=None, architecture="mlp", hidden=2, rows=None, max_ngram=1, max_length=5, **more):
    """A student whose weights are all 1."""
    vocabulary = Vocabulary(Words(["a", "b"]) if known is None else known, rows, max_ngram, max_length)
    labels, shape = more.pop("labels", ["yes", "no"]), Shape(architecture, 1, hidden)
    weights = {
        name: np.ones(size, np.float32) for name, size in shape.weights(vocabulary.size, len(set(labels))).items()
    }
    return Student(labels, vocabulary, shape, weights, **({"bits": (32, 32), "steps": {}} | more))


def written(made):
    """A file that was packed without checks."""
    return file._pack(made)


def with_json(text):
    """A file whose facts are this JSON, which includes its two words."""
    body = student().to_bytes()[8:].removesuffix(file._deflate({"words": "a\nb"}))
    return fuzz.seal(body + zlib.compress(text.encode("utf-8", "surrogatepass"), 9, wbits=-15))


def with_facts(**changes):
    return with_json(json.dumps({"words": "a\nb", **fuzz.FACTS, **changes}))


def without_fact(name):
    return with_json(json.dumps({"words": "a\nb", **{key: value for key, value in fuzz.FACTS.items() if key != name}}))


def with_header(**changes):
    body = student().to_bytes()[8:]
    names, layout = file._Header.layout(0)
    numbers = dict(zip(names, layout.unpack_from(body), strict=True)) | changes
    return fuzz.seal(layout.pack(*numbers.values()) + body[layout.size :])


def with_weight(value):
    made = student()
    made.weights["head.bias"][0] = value
    return written(made)


def with_step(value):
    made = student(bits=(4, 4), steps=dict.fromkeys(("embedding.weight", "head.weight", "head.bias"), 1.0))
    content = written(made)
    at = content.index(np.array([1], ">f2").tobytes())
    return fuzz.seal(content[8:at] + np.array([value], ">f2").tobytes() + content[at + 2 :])


def with_threshold(value):
    return written(student(thresholds=[value, 0.5]))


METRICS = fuzz.FACTS["metrics"]
FORGED = {
    "a lone surrogate as a word": with_facts(words="a\n\ud800"),
    "an empty word": with_facts(words="\nb"),
    "a word twice": with_facts(words="a\na"),
    "words out of order": with_facts(words="b\na"),
    "a word of spaces": with_facts(words="a\n "),
    "an n-gram with two spaces": with_facts(words="a  b\nc"),
    "too few words": with_facts(words="a"),
    "too many words": with_facts(words="a\nb\nc"),
    "words that are a list": with_facts(words=["a", "b"]),
    "words by code unit": with_facts(words="\U00010000\n\uffff"),
    "no words": with_json("{}"),
    "a fingerprint beyond 32 bits": written(student(Fingerprints([2**33], [0], 32))),
    "a fingerprint beyond its width": written(student(Fingerprints([3, 8], [0], 3))),
    "more names than fingerprints": written(student(Fingerprints([5], [0], 32), facts={"words": "one\ntwo"})),
    "fewer names than fingerprints": written(student(Fingerprints([5, 6], [0], 32), facts={"words": "one"})),
    "a name without fingerprints": written(student(Fingerprints([], [0], 32), facts={"words": "one"})),
    "a row that no word has": written(
        dataclasses.replace(student(), vocabulary=Vocabulary(Words(["a", "b"]), [1, 1], 1, 5))
    ),
    "an empty label": written(student(labels=["", "no"])),
    "a label twice": written(student(labels=["no", "no", "yes"], facts={"version": "9"})),
    "labels that end too early": with_header(labels_size=60_000),
    "labels that are not UTF-8": fuzz.seal(student().to_bytes()[8:].replace(b"yes", b"y\xff\xfe")),
    "more words than any file has": with_header(words=2**32 - 1),
    "an n-gram of six": with_header(max_ngram=6),
    "no words per text": with_header(max_length=0),
    "an unknown architecture": with_header(code=file.STRINGS | 5),
    "n-grams of another architecture than mlp": written(student(architecture="cnn", max_ngram=2)),
    "strings with fingerprints": with_header(fingerprint_bits=8),
    "nine bits": with_header(table_bits=9),
    "temperature 0": written(student(temperature=0.0)),
    "temperature subnormal": written(student(temperature=1e-42)),
    "temperature huge": written(student(temperature=1e30)),
    "temperature NaN": written(student(temperature=float("nan"))),
    "threshold NaN": with_threshold(float("nan")),
    "threshold above 1": with_threshold(1.5),
    "threshold below 0": with_threshold(-0.5),
    "weight NaN": with_weight(float("nan")),
    "weight infinite": with_weight(float("-inf")),
    "weight so large that sums overflow": with_weight(3e38),
    "step 0": with_step(0.0),
    "step below 0": with_step(-1.0),
    "step NaN": with_step(float("nan")),
    "step infinite": with_step(float("inf")),
    "facts that are a list": with_json("[1]"),
    "facts that are nothing": with_json(""),
    "facts with a byte order mark": with_json("\ufeff" + json.dumps({"words": "a\nb"})),
    "facts with NaN": with_facts(x=float("nan")),
    "facts with a number that is not finite": with_json('{"words": "a\\nb", "x": 1e999}'),
    "facts with a number of 5,000 digits": with_json('{"words": "a\\nb", "x": ' + "9" * 5000 + "}"),
    "facts with a lone surrogate": with_facts(x="\ud800"),
    "facts with a lone surrogate as a key": with_facts(**{"\ud800": 1}),
    "facts 10 deep": with_facts(x=json.loads("[" * 10 + "]" * 10)),
    "facts 100,000 deep": with_json('{"words": "a\\nb", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "facts of 20 megabytes": with_json(json.dumps({"words": "a\nb"}) + " " * 20_000_000),
    "metrics that are a number": with_facts(metrics=1),
    "metrics without figures": with_facts(metrics={"test": {}}),
    "metrics of another split": with_facts(metrics={"elsewhere": METRICS["test"]}),
    "metrics that are a method": with_facts(metrics={"constructor": METRICS["test"]}),
    "accuracy that is a string": with_facts(metrics={"test": {**METRICS["test"], "accuracy": "x"}}),
    "accuracy that is true": with_facts(metrics={"test": {**METRICS["test"], "accuracy": True}}),
    "no teachers": without_fact("teachers"),
    "no version": without_fact("version"),
    "no rows": without_fact("rows"),
    "no digests": without_fact("sha256"),
    "rows without unlabelled": with_facts(rows={"train": 1, "validation": 1, "test": 1}),
    "rows below 0": with_facts(rows={**fuzz.FACTS["rows"], "train": -1}),
    "rows and a half": with_facts(rows={**fuzz.FACTS["rows"], "train": 1.5}),
    "rows that are a list": with_facts(rows=["train", "unlabelled", "validation", "test"]),
    "rows that no memory holds": with_facts(rows={**fuzz.FACTS["rows"], "train": 1e300}),
    "rows that JavaScript cannot count": with_facts(rows={**fuzz.FACTS["rows"], "train": 2**53}),
    "rows that are -0.0": with_facts(rows={**fuzz.FACTS["rows"], "train": -0.0}),
    "rows that are -0": with_json(json.dumps({"words": "a\nb", "rows": {"train": 7}}).replace("7", "-0")),
    "an accuracy above 1": with_facts(metrics={"test": {**METRICS["test"], "accuracy": 1.01}}),
    "an interval below 0": with_facts(metrics={"test": {**METRICS["test"], "accuracy_low": -0.5}}),
    "a macro F1 of 88": with_facts(metrics={"test": {**METRICS["test"], "macro_f1": 88}}),
    "a teacher better than perfect": with_facts(teachers={"minilm": 0.9, "other": 1e300}),
    "a teacher below 0": with_facts(teachers={"minilm": -1}),
    "an untested teacher that is a string": with_facts(untested_teachers="table"),
    "untested teachers that are numbers": with_facts(untested_teachers=["table", 1]),
    "untested teachers that are an object": with_facts(untested_teachers={"table": "table"}),
    "digests that are a list": with_facts(sha256=[]),
    "a digest that is a number": with_facts(sha256={"prepared": 1}),
    "a teacher's accuracy that is null": with_facts(teachers={"minilm": None}),
    "a version that is a number": with_facts(version=9),
    "parameters that are a string": with_facts(params="none"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_refused_in_one_line(name, tmp_path):
    (tmp_path / "a.pot").write_bytes(FORGED[name])
    with pytest.raises(PotstillError, match=r"a\.pot: it cannot be loaded: not a potstill model file \(") as caught:
        Student.load(tmp_path / "a.pot")
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def javascript():
    running = fuzz.JavaScript()
    if not running.process:
        pytest.skip("Node.js is missing")
    yield lambda files, texts=("a b",): running.answers(files, [list(texts)] * len(files))
    running.close()


def test_javascript_refuses_forged_files(javascript):
    answers = javascript(list(FORGED.values()))
    assert [name for name, answer in zip(FORGED, answers, strict=True) if "error" not in answer] == []


def test_an_architecture_that_was_removed_is_named(javascript, tmp_path):
    content = with_header(code=file.STRINGS | 4)
    (tmp_path / "a.pot").write_bytes(content)
    with pytest.raises(PotstillError) as caught:
        Student.load(tmp_path / "a.pot")
    assert str(caught.value) == (
        f"{tmp_path / 'a.pot'}: it cannot be loaded: potstill no longer supports its architecture, bilstm. "
        "Train a student of another one, such as bigru."
    )
    assert javascript([content]) == [{"error": "the architecture bilstm is no longer supported"}]


def test_unusual_valid_files_are_read(javascript):
    made = [
        with_facts(),
        with_facts(labels=["evil"], parameters="none", x={"y": [1, None, "\x1b"]}),
        without_fact("metrics"),
        with_facts(rows={**fuzz.FACTS["rows"], "train": 2**53 - 1, "test": 5.0}, teachers={"a": 0, "b": 1.0}),
        with_facts(untested_teachers=[]),
        with_facts(
            untested_teachers=["table"], metrics={"test": {**METRICS["test"], "log_loss": 27.6, "matthews": -1}}
        ),
        student(Words([]), rows=[]).to_bytes(),
        student(Fingerprints([], [0], 32), facts={"words": ""}).to_bytes(),
        student(Fingerprints([0, 2**32 - 1], [0], 32), facts={"words": "b\na"}).to_bytes(),
        student(labels=["\ufeff", "\t", "\x1b[31m"]).to_bytes(),
    ]
    for content, theirs in zip(made, javascript(made), strict=True):
        ours = Student.from_bytes(content)
        assert theirs["labels"] == ours.labels
        np.testing.assert_allclose(theirs["shares"], ours.predict_proba(["a b"]), atol=1e-6)


def test_javascript_and_python_have_the_same_limits():
    script = fuzz.ROOT.joinpath("src/potstill/web/student.js").read_text()
    assert json.dumps(list(facts.FIGURES)) in script
    assert f"sound(facts, {facts.MAX_DEPTH})" in script
    assert facts.MAX_TEXTS == 2**53  # as Number.isSafeInteger has it
    assert f"EXPLAINED = {EXPLAINED}," in script
    for limit in (
        f"<= {file.MAX_WIDTH})",
        f"? {file.MAX_NGRAM} :",
        f"Math.min({file.MAX_FACTS_BYTES}, {file.MAX_INFLATION} *",
    ):
        assert limit.replace(str(2**23), "2 ** 23") in script
    assert file.MAX_WORDS == 1 << 18


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (student(labels=["one\ntwo", "no"]), "'one.ntwo' has a line break"),
        (student(labels=["", "no"]), "class 0 has an empty name"),
        (student(labels=["a" * 70_000, "no"]), "70,003 bytes"),
        (student(labels=["no", "no", "yes"]), "two classes are named 'no'"),
        (student(max_length=70_000), "cannot hold this student"),
        (student(temperature=0.0), "cannot hold this student"),
        (student(facts={"version": 9}), "cannot hold this student: .*version"),
        (student(facts={"x": "\ud800"}), "cannot hold this student"),
        (student(facts={"x": np.float32(1)}), "cannot hold this student: its facts are no JSON: .*float32"),
        (student(facts={"x": {1, 2}}), "its facts are no JSON: .*set"),
        (student(facts={1: 2}), "its facts are no JSON"),
        (student(Fingerprints([], [0], 32), facts={1: 2}), "its facts are no JSON"),
        (student(facts={"x": [{"y": {2: 3}}]}), "its facts are no JSON"),
        (student(facts=None), "cannot hold this student"),
        (student(bits=(4, 4)), "cannot hold this student: `steps` lacks 'embedding.weight'"),
        (dataclasses.replace(student(), weights={}), "cannot hold this student: KeyError: 'embedding.weight'"),
        (dataclasses.replace(student(), labels=["yes", 3]), "cannot hold this student: TypeError"),
        (dataclasses.replace(student(), shape=Shape("x", 1, 2)), "cannot hold this student"),
        (dataclasses.replace(student(), vocabulary=None), "cannot hold this student"),
    ],
)
def test_a_student_that_a_file_cannot_hold_is_refused(made, message):
    with pytest.raises(PotstillError, match=message):
        made.to_bytes()


def test_a_network_too_large_for_a_file_is_refused_before_training():
    file.check(["a", "b"], Shape("mlp", 1, 1024), file.MAX_WORDS, (2, 4))
    with pytest.raises(PotstillError, match="the network takes 1,073,750,024 bytes"):
        file.check(["a", "b"], Shape("mlp", 1, 1024), file.MAX_WORDS, (32, 32))


def of_one_checksum(number):
    """Words with the same CRC-32. It is linear, so they can be computed from single letters by elimination."""
    base = bytearray(b"a" * 80)
    zero, found = zlib.crc32(base), []
    reduced: dict[int, tuple[int, int]] = {}
    for i in range(80):
        base[i] = ord("c")
        crc, letters = zlib.crc32(base) ^ zero, 1 << i
        base[i] = ord("a")
        while crc and crc.bit_length() in reduced:
            other, also = reduced[crc.bit_length()]
            crc, letters = crc ^ other, letters ^ also
        if crc:
            reduced[crc.bit_length()] = crc, letters
        else:
            found.append(letters)
    choices = [0]
    for letters in found:
        if len(choices) >= number:
            break
        choices += [choice ^ letters for choice in choices]
    return sorted("".join("ac"[choice >> i & 1] for i in range(80)) for choice in choices[:number])


def test_words_with_the_same_checksum_are_looked_up_quickly():
    words = of_one_checksum(1 << 16)
    assert len({zlib.crc32(word.encode()) for word in words}) == 1
    made = student(Words(words))
    start = time.perf_counter()
    made.predict([words[5], "a"])
    assert time.perf_counter() - start < 5  # seconds


def test_fingerprints_with_the_same_low_bits_are_looked_up_quickly():
    prints = [i << 16 for i in range(1 << 16)]
    made = Student.from_bytes(student(Fingerprints(prints, [0], 32)).to_bytes())
    start = time.perf_counter()
    made.predict(["a"])
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("ones", [2_000_000, 100])
def test_a_file_of_ones_is_not_read_to_its_end(ones):
    body = student(Fingerprints([5, 9], [0], 32)).to_bytes()[8:]
    content = fuzz.seal(body[: file._Header.layout(0)[1].size + 7] + b"\xff" * ones)
    start = time.perf_counter()
    with pytest.raises(file.FormatError, match="too early"):
        file.unpack(content)
    assert time.perf_counter() - start < 1


@pytest.fixture(scope="module")
def large():
    """A student whose table has eight million numbers of two bits."""
    made = student(Words([f"w{i:05}" for i in range((1 << 13) - 1)]), hidden=1024)
    rng = np.random.default_rng(0)
    weights = {name: rng.integers(-1, 2, weight.shape).astype("f4") for name, weight in made.weights.items()}
    steps = dict.fromkeys(weights, 1.0)
    return dataclasses.replace(made, weights=weights, bits=(2, 2), steps=steps)


def test_a_large_file_takes_at_most_ten_times_its_size_in_memory(large):
    content = large.to_bytes()
    tracemalloc.start()
    try:
        Student.from_bytes(content).predict(["w00001 w00100"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(content)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_quantized_table_predicts_what_floats_do(architecture, monkeypatch):
    made = student(Words(["a", "b", "c"]), architecture)
    rng = np.random.default_rng(0)
    weights = {name: rng.integers(-1, 2, weight.shape).astype("f4") for name, weight in made.weights.items()}
    made = dataclasses.replace(made, weights=weights, bits=(3, 3), steps=dict.fromkeys(weights, 1.0))
    monkeypatch.setattr(file, "LARGE", 3)
    again = Student.from_bytes(made.to_bytes())
    assert isinstance(again.weights[file.TABLE], QuantizedTable)
    assert again.parameters == made.parameters
    assert again.to_bytes() == made.to_bytes()
    texts = ["a b", "", "c c unknown"]
    np.testing.assert_allclose(again.predict_proba(texts), made.predict_proba(texts), atol=1e-6)
    np.testing.assert_allclose(
        again.logits(again.vocabulary.encode(texts)), made.logits(made.vocabulary.encode(texts)), atol=1e-6
    )


def test_a_quantized_table_is_multiplied_in_chunks(monkeypatch):
    rng = np.random.default_rng(0)
    table = QuantizedTable(rng.integers(-8, 8, (LARGE // 8192 + 3, 512)).astype(np.int8), np.float32(0.5))
    other = rng.normal(size=(512, 2)).astype(np.float32)
    np.testing.assert_allclose(table @ other, np.asarray(table) @ other, rtol=1e-5, atol=1e-4)
