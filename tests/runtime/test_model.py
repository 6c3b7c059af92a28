import contextlib
import dataclasses
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from potstill.core.errors import PotstillError
from potstill.runtime import file, tokenizer
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES, Shape
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from potstill.student import networks, training
from tests.runtime.test_forged import written
from tests.student.test_distil import settings

WORDS = ["one", "two", "three", "café", "☕", "two three"]
ODD = ["", "  ", "unheard-of wörds ☕", "one " * 500, "two three one TWO", "\ud800 lone", "İ ﬁ \x00", "one"]


def vocabulary(words=WORDS, bits=20, max_ngram=1, max_length=32, salts=(7, 0, 255, 3), rows=None):
    known = sorted(tokenizer.fingerprint(tokenizer.checksum(word), salts, bits) for word in words)
    return Vocabulary(Fingerprints(known, list(salts), bits), rows, max_ngram, max_length)


def student(architecture="bigru", bits=(32, 32), labels=("a", "b", "ç"), rows=None):
    """A student with random weights, and the torch network with the same weights."""
    params = settings(architecture=architecture)
    found = vocabulary(max_ngram=2 if architecture == "mlp" else 1, rows=rows)
    rng = torch.Generator().manual_seed(0)
    network = networks.build(params, found.size, len(labels)).eval()
    steps = {}
    with torch.no_grad():
        for name, weight in network.named_parameters():
            width = bits[name != "embedding.weight"]
            weight.copy_(torch.randn(weight.shape, generator=rng))
            if width < 32:
                most = 2 ** (width - 1) - 1
                steps[name] = float(np.float16(3 / most))
                weight.copy_((weight / steps[name]).round().clamp(-most, most) * steps[name])
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    shape = Shape(architecture, params.embedding_dim, params.hidden)
    return Student(list(labels), found, shape, weights, bits, steps), network


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_predicts_what_the_trained_network_does(architecture):
    made, network = student(architecture)
    expected = torch.from_numpy(training.logits(network, made.vocabulary.encode(ODD))).softmax(1)
    np.testing.assert_allclose(made.predict_proba(ODD), expected, atol=1e-5)


def test_bigru_equals_the_bidirectional_gru_of_torch():
    made, network = student("bigru")
    reference = torch.nn.GRU(4, 8, batch_first=True, bidirectional=True)
    names = [name for name, _ in network.forwards.named_parameters()]
    reference.load_state_dict(
        {name: getattr(network.forwards, name) for name in names}
        | {f"{name}_reverse": getattr(network.backwards, name) for name in names}
    )
    ids = made.vocabulary.encode(["one two café"]).ids.astype(int)
    states, _ = reference(network.embedding(torch.from_numpy(ids)[None]))
    expected = network.head(states.amax(1)).softmax(-1)
    np.testing.assert_allclose(made.predict_proba(["one two café"]), expected.detach(), atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_predictions_do_not_depend_on_the_batch(architecture):
    made, _ = student(architecture)
    alone = np.concatenate([made.predict_proba([text]) for text in ODD])
    np.testing.assert_allclose(made.predict_proba(ODD), alone, atol=1e-6)
    assert made.predict(ODD).tolist() == made.classes_[alone.argmax(1)].tolist()
    assert made.predict_proba([]).shape == (0, 3)
    assert made.predict([]).shape == (0,)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("bits", [(32, 32), (2, 6), (3, 6), (8, 8)])
@pytest.mark.parametrize("rows", [None, [2, 1, 2, 3, 1, 2], [1] * 6], ids=["own", "shared", "one"])
def test_saving_and_loading_keeps_every_bit(architecture, bits, rows, tmp_path):
    made, _ = student(architecture, bits, rows=rows)
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
    made, _ = student("mlp", (3, 5), rows=rows)
    known = dataclasses.replace(made.vocabulary, entries=Words(sorted(WORDS)))
    made = dataclasses.replace(made, vocabulary=known, temperature=1.37, facts={"version": "1", "déjà": [1, None]})
    made.save(tmp_path / "a.pot")
    again = Student.load(tmp_path / "a.pot")
    assert again.vocabulary == known
    assert again.words == sorted(WORDS)
    assert again.facts == made.facts
    assert again.temperature == pytest.approx(1.37)
    np.testing.assert_allclose(again.predict_proba(ODD), made.predict_proba(ODD), atol=1e-6)
    again.save(tmp_path / "b.pot")
    assert (tmp_path / "a.pot").read_bytes() == (tmp_path / "b.pot").read_bytes()


def test_repr_is_one_line(tmp_path):
    made, _ = student("bigru")
    size = len(made.to_bytes())
    assert repr(made) == f"Student(bigru, 3 labels, {made.parameters} parameters, {size:,} bytes)"


def test_the_package_lists_its_names():
    import potstill

    assert potstill.Student is Student
    assert {"Student", "__version__"} <= set(dir(potstill))
    assert potstill.__all__ == ["Student"]


@pytest.mark.parametrize("name", ["a\0b.pot", "a\ud800.pot"])
def test_an_invalid_file_name_is_refused(name, tmp_path):
    with pytest.raises(PotstillError, match="invalid file name"):
        student()[0].save(tmp_path / name)
    with pytest.raises(PotstillError, match="cannot be loaded"):
        Student.load(tmp_path / name)


def test_temperature_lowers_probabilities_and_keeps_labels():
    made, _ = student()
    softer = dataclasses.replace(made, temperature=3.0)
    assert softer.predict(ODD).tolist() == made.predict(ODD).tolist()
    assert softer.predict_proba(ODD).max() < made.predict_proba(ODD).max()


def test_the_vocabulary_may_be_empty(tmp_path):
    made, _ = student("mlp")
    empty = dataclasses.replace(made.vocabulary, entries=Words([]))
    weights = made.weights | {"embedding.weight": made.weights["embedding.weight"][:1]}
    dataclasses.replace(made, vocabulary=empty, weights=weights).save(tmp_path / "a.pot")
    assert Student.load(tmp_path / "a.pot").words == []


@pytest.mark.parametrize("bits", [3, 12, 32])
def test_fingerprints_of_any_width_are_saved(bits, tmp_path):
    made, _ = student()
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
    assert Student.load(tmp_path / "a.pot").vocabulary.entries.prints == known


def test_a_file_is_hardly_larger_than_its_numbers(tmp_path):
    from potstill.student.distil import distil

    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 3000, 12)) for _ in range(3000)]
    params = settings(
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


def test_words_and_symbols_are_separated():
    assert tokenizer.words("Don't STOP,  ça va? ☕") == ["don", "'", "t", "stop", ",", "ça", "va", "?", "☕"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("今天很好，iPhone手机2024年", ["今", "天", "很", "好", "，", "iphone", "手", "机", "2024", "年"]),
        ("コーヒーが\u3099好き", ["コ", "ー", "ヒ", "ー", "が\u3099", "好", "き"]),
        ("น้ำ กี่", ["น้", "ำ", "กี่"]),
        ("हिन्दी में।", ["हिन्दी", "में", "।"]),
        ("مَرْحَبًا می\u200cخواهم", ["مَرْحَبًا", "می\u200cخواهم"]),
        ("Привет, 한국어ㅋㅋ", ["привет", ",", "한국어ㅋㅋ"]),
        ("cafe\u0301s", ["cafe\u0301s"]),
        ("❤️good👍🏽👩‍👩‍👧🇩🇪 1️⃣#️⃣", ["❤", "good", "👍", "🏽", "👩", "👩", "👧", "🇩", "🇪", "1️⃣", "#"]),
    ],
)
def test_texts_of_any_script_are_split(text, words):
    assert tokenizer.words(text) == words


def test_texts_are_truncated_and_never_empty():
    encoded = vocabulary(["a", "b"], max_length=3).encode(["b a b a", "", "c"])
    assert encoded.lengths.tolist() == [3, 1, 1]
    a, b = (vocabulary(["a", "b"]).row(word) for word in "ab")
    assert {a, b} == {1, 2}
    assert encoded.ids.tolist() == [b, a, b, tokenizer.UNKNOWN, tokenizer.UNKNOWN]


def test_words_can_share_a_row():
    one = vocabulary(["a", "b", "c"], rows=[1, 2, 1])
    assert one.size == 3
    assert sorted(one.row(word) for word in "abc") == [1, 1, 2]


def test_ngrams_come_after_the_words():
    found = vocabulary(["good", "not good"], max_ngram=2, max_length=3)
    good, not_good = found.row("good"), found.row("not good")
    encoded = found.encode(["a not good x", "not"])
    assert encoded.ids.tolist() == [0, 0, good, not_good, 0]
    assert encoded.lengths.tolist() == [4, 1]


def test_fingerprints_never_change():
    # Existing model files depend on these values.
    assert tokenizer.checksum("happy") == zlib.crc32(b"happy") == 0xBEED83C9
    assert tokenizer.fingerprint(tokenizer.checksum("happy"), [0, 1, 2, 3], 16) == 35774
    array = np.array([tokenizer.checksum("happy")], np.uint64)
    assert tokenizer.mix32(array, 5)[0] == tokenizer.mix32(int(array[0]), 5)
    assert tokenizer.bucket(array, 64)[0] == tokenizer.bucket(int(array[0]), 64)


def test_it_needs_neither_torch_nor_pandas(tmp_path):
    made, _ = student()
    made.save(tmp_path / "a.pot")
    program = (
        "import sys; from pathlib import Path; from potstill.runtime.model import Student\n"
        "print(Student.load(Path(sys.argv[1])).predict(['one two'])[0])\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'pandas', 'scipy', 'safetensors'}))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.pot")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] in made.labels
    assert done.stdout.split("\n")[1] == "[]"


class TestDamage:
    @pytest.fixture(params=["fingerprints", "strings"])
    def path(self, tmp_path, request):
        made, _ = student("cnn", (4, 6))
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
        made, _ = student("mlp")
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
        made, _ = student("cnn", (4, 6))
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
            (b"[1]", "no JSON object"),
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
    made = [student(architecture, bits)[0] for architecture in ARCHITECTURES for bits in ((3, 5), (32, 32))]
    strings = [
        dataclasses.replace(one, vocabulary=dataclasses.replace(one.vocabulary, entries=Words(sorted(WORDS))))
        for one in made
    ]
    return [one.to_bytes()[8:] for one in made + strings]


@settings_of(max_examples=400, deadline=None)
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
    for texts in ([*ODD[:3], "one two three"], ["one two three ☕"] * 70):
        assert made.predict_proba(texts).shape == (len(texts), len(made.labels))
