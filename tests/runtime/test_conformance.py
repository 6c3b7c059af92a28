"""Every runtime answers the conformance files as they say; docs/format.md is about them."""

import dataclasses
import json
import math
import re
import struct
import sys
import zlib

import numpy as np
import onnxruntime
import pytest
import tokenizers

from conformance import make
from potstill.export import to_onnx
from potstill.runtime import file
from potstill.runtime.file import STRINGS, FormatError
from potstill.runtime.model import Classifier, Student, pad
from tests.javascript import in_scope
from tests.project import ROOT, run
from tests.students import portable

FOLDER = ROOT / "conformance"
GIVEN = json.loads((FOLDER / "expected.json").read_text("utf-8"))
TEXTS, FILES = GIVEN["texts"], GIVEN["files"]
WORDS = [name for name in FILES if not name.startswith("transformer-")]
SCOPED = [name for name in FILES if "in_scope" in FILES[name]]
TRANSFORMERS = [name for name in FILES if name.startswith("transformer-")]
SPECIFICATION = (ROOT / "docs/format.md").read_text("utf-8")


def agree(found, name):
    np.testing.assert_allclose(found, FILES[name]["probabilities"], atol=1e-5)


def test_all_files_are_listed():
    assert sorted(path.name for path in FOLDER.glob("*.pot")) == sorted(FILES)


def test_between_them_they_have_all_that_the_format_has():
    made = [Student.load(FOLDER / name) for name in WORDS]
    codes = [(FOLDER / name).read_bytes()[8] for name in WORDS]
    assert {code & 7 for code in codes} == {0, 1, 2, 3}
    for flag in (file.SHARED, file.STRINGS, file.CALIBRATED, file.MULTI_LABEL, file.SUBWORDS):
        assert {bool(code & flag) for code in codes} == {False, True}
    widths = {bits for one in made for bits in one.bits}
    assert widths == {*range(2, 9), 32}
    assert {one.vocabulary.max_ngram for one in made} == {1, 3}
    assert {len(one.vocabulary.entries.salts) for one in made if hasattr(one.vocabulary.entries, "salts")} == {1, 2, 4}
    for name in FILES:  # so that an error in the tokenizer changes an answer
        assert len({tuple(row) for row in FILES[name]["probabilities"]}) > (5 if name != "mlp-empty.pot" else 0)


@pytest.mark.parametrize("name", FILES)
def test_python(name):
    made = Classifier.load(FOLDER / name)
    agree(made.predict_proba(TEXTS), name)
    assert (made.labels, made.thresholds) == (FILES[name]["labels"], FILES[name]["thresholds"])
    if name in WORDS:
        assert made._kernel
        agree(portable(made).predict_proba(TEXTS), name)
    if name in SCOPED:
        assert made.in_scope(TEXTS).tolist() == FILES[name]["in_scope"]
        assert 3 < sum(FILES[name]["in_scope"]) < len(TEXTS) - 3


def test_javascript(javascript):
    answers = javascript([FOLDER / name for name in WORDS], TEXTS)
    for name, (probabilities, _, labels) in zip(WORDS, answers, strict=True):
        agree(probabilities, name)
        assert labels == FILES[name]["labels"]


def test_javascript_knows_the_same_texts_as_out_of_scope(tmp_path):
    names = [name for name in SCOPED if name in WORDS]
    assert in_scope(tmp_path, [FOLDER / name for name in names], TEXTS) == [FILES[name]["in_scope"] for name in names]


@pytest.mark.parametrize("name", FILES)
def test_onnx(name):
    made = Classifier.load(FOLDER / name)
    session = onnxruntime.InferenceSession(to_onnx.build(made).SerializeToString())
    if [given.name for given in session.get_inputs()] == ["text"]:
        given = {"text": np.array([text.encode("utf-8", "replace").decode() for text in TEXTS], object)}
    else:
        ids, mask = pad(made.encode(TEXTS), np.arange(len(TEXTS)))
        given = {"ids": np.where(mask, ids, -1)}
    _, probabilities, *found = session.run(None, given)
    agree(probabilities, name)
    assert [answer.tolist() for answer in found] == ([FILES[name]["in_scope"]] if name in SCOPED else [])


def test_the_reference_needs_the_standard_library_alone():
    program = "import sys; from reference import Model; print(*sys.modules)"
    modules = run(FOLDER, sys.executable, "-c", program).split()
    assert not {"numpy", "potstill"} & set(modules)
    said = run(ROOT, sys.executable, "conformance/reference.py", str(FOLDER / "mlp-strings.pot"), "not good")
    [expected] = FILES["mlp-strings.pot"]["probabilities"][3:4]
    assert [float(value) for value in re.findall(r": ([\d.e-]+)", said)] == pytest.approx(expected, abs=1e-6)


def test_wheels_are_checked_with_and_without_the_kernel():
    assert f"{len(WORDS)} files agree" in run(ROOT, sys.executable, "conformance/check.py")


def test_the_script_makes_these_files_and_answers():
    """Their contents, as another zlib may deflate to other bytes."""
    made = make.students()
    assert {f"{name}.pot" for name in made} == set(FILES)
    for name, student in made.items():
        assert Classifier.load(FOLDER / f"{name}.pot").to_bytes() == student.to_bytes()
        answer = make.expected(student)
        np.testing.assert_allclose(answer["probabilities"], FILES[f"{name}.pot"]["probabilities"], atol=1e-6)
        assert answer.get("in_scope") == FILES[f"{name}.pot"].get("in_scope")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "gelu": np.vectorize(lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2)))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_pot2_is_as_it_is_specified(name):
    """Read a file and classify by what docs/format.md says, in float64, without potstill."""
    data = (FOLDER / name).read_bytes()
    assert data[:4] == b"pot2"
    checksum, *sizes = struct.unpack_from("<III", data, 4)
    assert checksum == zlib.crc32(data[8:])
    ends = np.cumsum([16, *sizes])
    parts = data[16 : ends[1]], data[ends[1] : ends[2]], data[ends[2] :]
    header, spec, packed = (zlib.decompress(part, -15) for part in parts)
    header, spec = json.loads(header), json.loads(spec)
    shape, ranges, at = header["shape"], header["ranges"], 0
    assert list(header) == sorted(["labels", "shape", "ranges", "cls", "sep", "temperature", "thresholds", "facts"])

    def take(count, kind):
        nonlocal at
        found = np.frombuffer(packed, kind, count, at).astype(np.float64)
        at += found.size * np.dtype(kind).itemsize
        return found

    def linear(outputs, inputs):
        steps = take(outputs, "<f2")
        matrix = take(outputs * inputs, "i1").reshape(outputs, inputs) * steps[:, None]
        return matrix, take(outputs, "<f2")

    def matrix(rows, columns):
        steps = take(rows, "<f2")
        return take(rows * columns, "i1").reshape(rows, columns) * steps[:, None]

    def norm_of(width):
        return take(width, "<f2"), take(width, "<f2")

    embedding, hidden, feed = shape["embedding"], shape["hidden"], shape["feed_forward"]
    tokens, positions = matrix(shape["vocabulary"], embedding), matrix(shape["positions"], embedding)
    biases = matrix(shape["heads"], 2 * shape["positions"] - 1) if shape.get("relative") else None
    first = norm_of(embedding)
    projection = linear(hidden, embedding) if embedding != hidden else None
    layers = []
    for _ in range(shape["layers"]):
        four = [linear(hidden, hidden) for _ in ("query", "key", "value", "output")]
        layers.append([*four, norm_of(hidden), linear(feed, hidden), linear(hidden, feed), norm_of(hidden)])
    factors = {}
    if shape.get("smoothed"):
        inputs = [f"layers.{i}.{part}" for i in range(len(layers)) for part in ("query", "output", "up", "down")]
        widths = {"projection": embedding, "down": feed}
        for part in [*(["projection"] if projection else []), *inputs]:
            factors[part] = take(widths.get(part.split(".")[-1], hidden), "<f2")
    pooler, head = linear(hidden, hidden), linear(len(header["labels"]), hidden)
    assert at == len(packed)

    def norm(x, parts):
        gain, bias = parts
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + shape["epsilon"]) * gain + bias

    def rounded(x, name):
        low, high = ranges[name]
        scale = np.float32((high - low) / 255)
        zero = round(-low / float(scale))
        return (np.clip(np.rint(x / factors.get(name, 1) / scale) + zero, 0, 255) - zero) * scale

    def apply(x, layer):
        return x @ layer[0].T + layer[1]

    library = tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", **spec}))
    answers = []
    for text in TEXTS:
        clean = re.sub("[\ud800-\udfff]", "?", text[: 100 * shape["positions"]])
        ids = library.encode(clean, add_special_tokens=False).ids[: shape["positions"] - 2]
        ids = [header["cls"], *ids, header["sep"]]
        x = norm(tokens[ids] + positions[: len(ids)], first)
        if projection:
            x = apply(rounded(x, "projection"), projection)
        for i, (query, key, value, output, after_attention, up, down, after) in enumerate(layers):
            given = rounded(x, f"layers.{i}.query")
            q, k, v = (apply(given, part).reshape(len(ids), shape["heads"], -1) for part in (query, key, value))
            scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(hidden / shape["heads"])
            if biases is not None:
                places = np.arange(len(ids))
                scores = scores + biases[:, places - places[:, None] + shape["positions"] - 1]
            scores = np.exp(scores)
            mixed = np.einsum("hqk,khd->qhd", scores / scores.sum(-1, keepdims=True), v).reshape(len(ids), hidden)
            x = norm(x + apply(rounded(mixed, f"layers.{i}.output"), output), after_attention)
            wide = ACTIVATIONS[shape["activation"]](apply(rounded(x, f"layers.{i}.up"), up))
            x = norm(x + apply(rounded(wide, f"layers.{i}.down"), down), after)
        logits = apply(ACTIVATIONS[shape["pooler"]](apply(x[0], pooler)), head) / header["temperature"]
        powers = np.exp(logits - logits.max())
        answers.append(sigmoid(logits) if header["thresholds"] else powers / powers.sum())
    # A value that lies between two steps of an activation may be rounded to the other one.
    np.testing.assert_allclose(answers, FILES[name]["probabilities"], atol=0.01)
    assert np.median(np.abs(np.array(answers) - FILES[name]["probabilities"])) < 1e-5


def test_the_specification_gives_the_numbers_of_the_code():
    for value in (
        file.MAX_BYTES, file.MAX_FACTS_BYTES, file.MAX_WORDS, file.MAX_WIDTH, file.MAX_LENGTH, file.MAX_WEIGHT,
    ):  # fmt: skip
        assert f"{value:,}" in SPECIFICATION
    sizes = {"B": 1, "H": 2, "I": 4, "f": 4}
    table = re.findall(r"^\| `([a-z]\w+)` \| (\d) \| ", SPECIFICATION, re.MULTILINE)
    fields = dataclasses.fields(file._Header)
    assert table == [(item.name, str(sizes[item.metadata["form"]])) for item in fields]
    for name in ("SHARED", "STRINGS", "CALIBRATED", "MULTI_LABEL", "SUBWORDS"):
        assert f"| `{name}` | {getattr(file, name)} |" in SPECIFICATION


def test_a_file_of_a_later_format_is_named():
    content = (FOLDER / "mlp-strings.pot").read_bytes()
    assert content[8] & STRINGS
    with pytest.raises(FormatError, match="its format is b'pot3', and this version of potstill reads b'pot1'"):
        Classifier.from_bytes(b"pot3" + content[4:])
