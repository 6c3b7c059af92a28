"""Model files: what is saved is loaded again, and damaged or forged files are refused at little cost."""

import contextlib
import dataclasses
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.core.errors import PotstillError
from potstill.runtime import file
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES, Shape
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from tests.forged import FORGED, ones_student, written
from tests.settings import student_settings
from tests.students import ENTRIES, KINDS, ODD, multi_label_student, student
from tests.torch_students import SHORT_TEXTS, WORDS, student_and_network
from tools import fuzz


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("bits", [(32, 32), (2, 6), (3, 6), (8, 8)])
@pytest.mark.parametrize("rows", [None, [2, 1, 2, 3, 1, 2], [1] * 6], ids=["own", "shared", "one"])
def test_saving_and_loading_keeps_every_bit(architecture, bits, rows, tmp_path):
    made, _ = student_and_network(architecture, bits, rows=rows)
    made.save(tmp_path / "a.pot")
    again = Student.load(tmp_path / "a.pot")
    assert again.labels == made.labels
    assert again.vocabulary == made.vocabulary
    assert (again.shape, again.bits, again.steps) == (made.shape, made.bits, made.steps)
    for name, weight in made.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)
    assert again.parameters == made.parameters
    again.save(tmp_path / "b.pot")
    assert (tmp_path / "a.pot").read_bytes() == (tmp_path / "b.pot").read_bytes()


@pytest.mark.parametrize("rows", [None, [2, 1, 2, 3, 1, 2]], ids=["own", "shared"])
def test_strings_temperature_and_facts_are_saved(rows, tmp_path):
    made, _ = student_and_network("mlp", (3, 5), rows=rows)
    known = dataclasses.replace(made.vocabulary, entries=Words(sorted(WORDS)))
    made = dataclasses.replace(made, vocabulary=known, temperature=1.37, facts={"version": "1", "déjà": [1, None]})
    made.save(tmp_path / "a.pot")
    again = Student.load(tmp_path / "a.pot")
    assert again.vocabulary == known
    assert again.words == sorted(WORDS)
    assert again.facts == made.facts
    assert again.temperature == pytest.approx(1.37)
    np.testing.assert_allclose(again.predict_proba(SHORT_TEXTS), made.predict_proba(SHORT_TEXTS), atol=1e-6)
    again.save(tmp_path / "b.pot")
    assert (tmp_path / "a.pot").read_bytes() == (tmp_path / "b.pot").read_bytes()


def test_the_vocabulary_may_be_empty(tmp_path):
    made, _ = student_and_network("mlp")
    empty = dataclasses.replace(made.vocabulary, entries=Words([]))
    weights = made.weights | {"embedding.weight": made.weights["embedding.weight"][:1]}
    dataclasses.replace(made, vocabulary=empty, weights=weights).save(tmp_path / "a.pot")
    assert Student.load(tmp_path / "a.pot").words == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_subwords_are_saved(kind, architecture, tmp_path):
    made = multi_label_student(architecture, **KINDS[kind])
    made.save(tmp_path / "a.pot")
    again = Student.load(tmp_path / "a.pot")
    assert again.vocabulary == made.vocabulary
    assert again.shape == made.shape
    assert again.to_bytes() == made.to_bytes()
    np.testing.assert_array_equal(again.predict_proba(ODD[-2:]), made.predict_proba(ODD[-2:]))
    # A flag of its own, so that files without it stay as they were, and that older versions refuse those with it.
    assert bool(made.to_bytes()[8] & file.SUBWORDS) == made.vocabulary.subwords


@pytest.mark.parametrize("bits", [3, 12, 32])
def test_fingerprints_of_any_width_are_saved(bits, tmp_path):
    made, _ = student_and_network()
    known = sorted({int(x) for x in np.random.default_rng(0).integers(0, 2**bits, len(WORDS) + 9)})[: len(WORDS)]
    known = known if bits > 3 else [0, 1, 2, 5, 6, 7]
    made = Student(
        made.labels,
        Vocabulary(Fingerprints(known, [9], bits), None, 1, 5),
        made.shape,
        made.weights,
        made.bits,
        made.steps,
    )
    made.save(tmp_path / "a.pot")
    assert Student.load(tmp_path / "a.pot").vocabulary.entries.values == known


def test_a_file_is_hardly_larger_than_its_numbers(tmp_path):
    from potstill.student.distil import distil

    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 3000, 12)) for _ in range(3000)]
    params = student_settings(
        architecture="bigru", vocab_size=1000, embedding_dim=3, hidden=6, weight_bits=4, fingerprint_bits=4, epochs=1
    )
    table = {"text": texts[:10], "label": np.zeros(10, np.int64)}
    trained = distil(["yes", "no"], texts, rng.normal(size=(3000, 2)).astype("float32"), table_of(table), params)
    size = trained.save(tmp_path / "student")
    weights = (1000 * 3 * 4 + (trained.student.parameters - 3000) * 6) / 8
    assert size < weights + 1000 * 6.5 / 8 + 64 + 80  # fingerprints, salts, the rest


def table_of(columns):
    import pandas as pd

    return pd.DataFrame(columns)


class TestDamage:
    @pytest.fixture(params=["fingerprints", "strings"])
    def path(self, tmp_path, request):
        made, _ = student_and_network("cnn", (4, 6))
        if request.param == "strings":
            known = dataclasses.replace(made.vocabulary, entries=Words(sorted(WORDS)))
            made = dataclasses.replace(made, vocabulary=known, temperature=2.0)
        made.save(tmp_path / "a.pot")
        return tmp_path / "a.pot"

    def refused(self, path, content, message):
        path.write_bytes(content)
        with pytest.raises(PotstillError, match=message):
            Student.load(path)

    def test_a_missing_file_is_named(self, path):
        path.unlink()
        with pytest.raises(PotstillError, match=r"a\.pot: no such file"):
            Student.load(path)

    def test_a_foreign_file_is_refused(self, path):
        for content, found in (
            (b"", "it is empty"),
            (b"\x80\x04foreign", "it begins with b'.x80.x04foreig'"),
            (b"{}", "found: JSON"),
            (b"PK\3\4", "found: a ZIP archive"),
            (b"\x08\x07\x12", "found: an ONNX model"),
        ):
            self.refused(path, content, rf"a\.pot: not a potstill model file \({found}\)")
        self.refused(path, b"pot9" + path.read_bytes(), "format")

    def test_a_folder_is_refused(self, path):
        with pytest.raises(PotstillError, match=r"it is a folder\. Give a file in it, such as .*student\.pot"):
            Student.load(path.parent)

    def test_an_endless_file_is_not_read_to_its_end(self, monkeypatch):
        monkeypatch.setattr(file, "MAX_BYTES", 1 << 16)
        with pytest.raises(PotstillError, match="not a potstill model file"):
            Student.load("/dev/zero")

    @pytest.mark.parametrize("changed", [{"temperature": 1e-9}, {"weights": 1e30}])
    def test_numbers_that_could_overflow_are_refused(self, changed, path):
        made, _ = student_and_network("mlp")
        weights = {name: weight * changed.get("weights", 1) for name, weight in made.weights.items()}
        made = dataclasses.replace(made, weights=weights, temperature=changed.get("temperature", 1.0))
        self.refused(path, written(made), "out of range")
        with pytest.raises(PotstillError, match="out of range"):
            made.to_bytes()

    def test_the_format_of_another_version_is_named(self, path):
        self.refused(path, b"pot9" + path.read_bytes()[4:], "format is b'pot9'")

    def test_flipped_bits_and_truncation_are_detected(self, path):
        whole = path.read_bytes()
        for at in range(4, len(whole), 7):
            self.refused(path, whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :], "damaged")
            self.refused(path, whole[:at], "damaged")

    def test_a_network_that_is_too_wide_is_refused(self, path, monkeypatch):
        monkeypatch.setattr(file, "MAX_WIDTH", 2)
        self.refused(path, path.read_bytes(), "out of range")

    def test_a_forged_file_ends_in_a_clear_error(self, path):
        """A valid checksum over changed contents: no crash, no endless loop, no gigabytes."""
        body = bytearray(path.read_bytes()[8:])
        rng = np.random.default_rng(0)
        for at in [*range(30), *rng.integers(30, len(body), 30)]:
            for value in (0, 1, 127, 255):
                forged = bytes(body[:at]) + bytes([value]) + bytes(body[at + 1 :])
                path.write_bytes(b"pot1" + zlib.crc32(forged).to_bytes(4, "little") + forged)
                with contextlib.suppress(PotstillError):
                    Student.load(path).predict_proba(["one two three"])

    @pytest.fixture
    def forge(self, tmp_path):
        """The deflated facts of a file, and a function that checks that other bytes in their place are refused."""
        made, _ = student_and_network("cnn", (4, 6))
        known = dataclasses.replace(made.vocabulary, entries=Words(sorted(WORDS)))
        body = dataclasses.replace(made, vocabulary=known).to_bytes()[8:]
        real = zlib.compress(b'{"words":"' + "\\n".join(sorted(WORDS)).encode() + b'"}', 9, wbits=-15)
        assert body.endswith(real)

        def refused(forged, message):
            whole = body.removesuffix(real) + forged
            content = b"pot1" + zlib.crc32(whole).to_bytes(4, "little") + whole
            self.refused(tmp_path / "a.pot", content, message)

        return real, refused

    @pytest.mark.parametrize(
        ("facts", "message"),
        [
            (b"[1]", "not a JSON object"),
            (b"{", "not a potstill model file"),
            (b'{"words": 3}', "wrong in 'words'"),
            (b'{"words": "a\\nb"}', "do not name its 6 words"),
            (b'{"words": "two\\none\\nthree\\na\\nb\\nc"}', "not in order"),
            (b"\xff", "not a potstill model file"),
            (b"[" * 1_000_000, "not a potstill model file"),
            (bytes(file.MAX_FACTS_BYTES + 1), "too long"),
        ],
    )
    def test_forged_facts_are_refused(self, facts, message, forge):
        forge[1](zlib.compress(facts, 9, wbits=-15), message)

    def test_truncated_facts_and_trailing_bytes_are_refused(self, forge):
        real, refused = forge
        refused(real[:-3], "cut off")
        refused(real + b"more", "cut off")


@pytest.fixture(scope="module")
def bodies():
    """Files of students of every kind, without magic and checksum."""
    made = [student_and_network(architecture, bits)[0] for architecture in ARCHITECTURES for bits in ((3, 5), (32, 32))]
    strings = [
        dataclasses.replace(one, vocabulary=dataclasses.replace(one.vocabulary, entries=Words(sorted(WORDS))))
        for one in made
    ]
    subwords = [student(architecture, **kind) for architecture in ARCHITECTURES for kind in KINDS.values()]
    return [one.to_bytes()[8:] for one in made + strings + subwords]


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_forged_file_is_refused_or_works(bodies, data):
    """Bytes changed, cut, duplicated or inserted, with a valid checksum."""
    body = bytearray(data.draw(st.sampled_from(bodies)))
    for _ in range(data.draw(st.integers(1, 4))):
        # Half of the changes are in the header, where they have most effect.
        at = data.draw(st.one_of(st.integers(0, 30), st.integers(0, len(body))))
        end = at + data.draw(st.integers(0, 8))
        body[at:end] = data.draw(st.binary(max_size=8))
    content = b"pot1" + zlib.crc32(body).to_bytes(4, "little") + bytes(body)
    try:
        made = Student.from_bytes(content)
    except file.FormatError:
        return
    for texts in ([*SHORT_TEXTS[:3], "one two three"], ["one two three ☕"] * 70):
        assert made.predict_proba(texts).shape == (len(texts), len(made.labels))


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_refused_in_one_line(name, tmp_path):
    (tmp_path / "a.pot").write_bytes(FORGED[name])
    with pytest.raises(PotstillError, match=r"a\.pot: it cannot be loaded: not a potstill model file \(") as caught:
        Student.load(tmp_path / "a.pot")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (ones_student(labels=["one\ntwo", "no"]), "'one.ntwo' has a line break"),
        (ones_student(labels=["", "no"]), "class 0 has an empty name"),
        (ones_student(labels=["a" * 70_000, "no"]), "70,003 bytes"),
        (ones_student(labels=["no", "no", "yes"]), "two classes are named 'no'"),
        (ones_student(max_length=70_000), "cannot hold this student"),
        (ones_student(temperature=0.0), "cannot hold this student"),
        (ones_student(facts={"version": 9}), "cannot hold this student: .*version"),
        (ones_student(facts={"x": "\ud800"}), "cannot hold this student"),
        (ones_student(facts={"x": np.float32(1)}), "cannot hold this student: its facts are not JSON: .*float32"),
        (ones_student(facts={"x": {1, 2}}), "its facts are not JSON: .*set"),
        (ones_student(facts={1: 2}), "its facts are not JSON"),
        (ones_student(Fingerprints([], [0], 32), facts={1: 2}), "its facts are not JSON"),
        (ones_student(facts={"x": [{"y": {2: 3}}]}), "its facts are not JSON"),
        (ones_student(facts=None), "cannot hold this student"),
        (ones_student(bits=(4, 4)), "cannot hold this student: `steps` has no 'embedding.weight'"),
        (dataclasses.replace(ones_student(), weights={}), "cannot hold this student: KeyError: 'embedding.weight'"),
        (dataclasses.replace(ones_student(), labels=["yes", 3]), "cannot hold this student: TypeError"),
        (dataclasses.replace(ones_student(), shape=Shape("x", 1, 2)), "cannot hold this student"),
        (dataclasses.replace(ones_student(), vocabulary=None), "cannot hold this student"),
    ],
)
def test_a_student_that_a_file_cannot_hold_is_refused(made, message):
    with pytest.raises(PotstillError, match=message):
        made.to_bytes()


def test_a_network_too_large_for_a_file_is_refused_before_training():
    file.check(["a", "b"], Shape("mlp", 1, 1024), file.MAX_WORDS, (2, 4))
    with pytest.raises(PotstillError, match="the network takes 1,073,750,024 bytes"):
        file.check(["a", "b"], Shape("mlp", 1, 1024), file.MAX_WORDS, (32, 32))


@pytest.mark.parametrize("ones", [2_000_000, 100])
def test_a_file_of_ones_is_not_read_to_its_end(ones):
    body = ones_student(Fingerprints([5, 9], [0], 32)).to_bytes()[8:]
    content = fuzz.seal(body[: file._Header.layout(0)[1].size + 7] + b"\xff" * ones)
    start = time.perf_counter()
    with pytest.raises(file.FormatError, match="too early"):
        file.unpack(content)
    assert time.perf_counter() - start < 1


@pytest.fixture(scope="module")
def large():
    """A student whose table has eight million numbers of two bits."""
    made = ones_student(Words([f"w{i:05}" for i in range((1 << 13) - 1)]), hidden=1024)
    rng = np.random.default_rng(0)
    weights = {name: rng.integers(-1, 2, weight.shape).astype("f4") for name, weight in made.weights.items()}
    steps = dict.fromkeys(weights, 1.0)
    return dataclasses.replace(made, weights=weights, bits=(2, 2), steps=steps)


@pytest.mark.slow
def test_a_large_file_takes_at_most_ten_times_its_size_in_memory(large):
    content = large.to_bytes()
    tracemalloc.start()
    try:
        Student.from_bytes(content).predict(["w00001 w00100"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(content)


@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
@pytest.mark.parametrize("rows", [None, [2, 3] + [1] * (len(ENTRIES) - 2)], ids=["own", "shared"])
def test_a_file_holds_the_thresholds(strings, rows, tmp_path):
    made = multi_label_student("cnn", strings, rows=rows, thresholds=(0.125, 1.0, 2**-20))
    made.save(tmp_path / "a.pot")
    again = Student.load(tmp_path / "a.pot")
    assert again.thresholds == made.thresholds
    assert again.to_bytes() == made.to_bytes()
    np.testing.assert_array_equal(again.predict_proba(ODD), made.predict_proba(ODD))
    one = dataclasses.replace(made, thresholds=None)
    assert len(made.to_bytes()) - len(one.to_bytes()) in (5, 6, 7)  # three times two bytes, and a shared last one


def test_a_file_with_a_threshold_out_of_range_is_refused(tmp_path):
    made = multi_label_student(thresholds=(0.5, 0.5, 1.5))
    with pytest.raises(PotstillError, match="out of range"):
        made.save(tmp_path / "a.pot")
    (tmp_path / "a.pot").write_bytes(written(made))
    with pytest.raises(PotstillError, match="out of range"):
        Student.load(tmp_path / "a.pot")
