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

from potstill.errors import PotstillError
from potstill.runtime import file, tokenizer
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES, Shape
from potstill.runtime.tokenizer import Fingerprints, Lookup, Words
from potstill.student import networks, training
from test_forged import written
from test_student import settings

WORDS = ["one", "two", "three", "café", "☕", "two three"]
ODD = ["", "  ", "unheard-of wörds ☕", "one " * 500, "two three one TWO", "\ud800 lone", "İ ﬁ \x00", "one"]


def lookup(words=WORDS, bits=20, longest=1, max_length=32, salts=(7, 0, 255, 3), rows=None):
    known = sorted(tokenizer.fingerprint(tokenizer.checksum(word), salts, bits) for word in words)
    return Lookup(Fingerprints(known, list(salts), bits), rows, longest, max_length)


def student(architecture="bigru", bits=(32, 32), labels=("a", "b", "ç"), rows=None):
    """A student of random weights, and the torch network with the same."""
    params = settings(architecture=architecture)
    found = lookup(longest=2 if architecture == "mlp" else 1, rows=rows)
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
    shape = Shape(architecture, params.embedding, params.hidden)
    return Student(list(labels), found, shape, weights, bits, steps), network


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_answers_as_the_network_that_was_trained(architecture):
    made, network = student(architecture)
    expected = torch.from_numpy(training.logits(network, made.lookup.encode(ODD))).softmax(1)
    np.testing.assert_allclose(made.predict_proba(ODD), expected, atol=1e-5)


def test_the_recurrent_network_is_the_bidirectional_one_of_torch():
    made, network = student("bigru")
    reference = torch.nn.GRU(4, 8, batch_first=True, bidirectional=True)
    names = [name for name, _ in network.forwards.named_parameters()]
    reference.load_state_dict(
        {name: getattr(network.forwards, name) for name in names}
        | {f"{name}_reverse": getattr(network.backwards, name) for name in names}
    )
    ids = made.lookup.encode(["one two café"]).ids.astype(int)
    states, _ = reference(network.embedding(torch.from_numpy(ids)[None]))
    expected = network.head(states.amax(1)).softmax(-1)
    np.testing.assert_allclose(made.predict_proba(["one two café"]), expected.detach(), atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_company_changes_nothing(architecture):
    made, _ = student(architecture)
    alone = np.concatenate([made.predict_proba([text]) for text in ODD])
    np.testing.assert_allclose(made.predict_proba(ODD), alone, atol=1e-6)
    assert made.predict(ODD).tolist() == made.classes_[alone.argmax(1)].tolist()
    assert made.predict_proba([]).shape == (0, 3)
    assert made.predict([]).shape == (0,)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("bits", [(32, 32), (2, 6), (3, 6), (8, 8)])
@pytest.mark.parametrize("rows", [None, [2, 1, 2, 3, 1, 2], [1] * 6], ids=["own", "shared", "one"])
def test_a_file_holds_all_of_a_student_to_the_bit(architecture, bits, rows, tmp_path):
    made, _ = student(architecture, bits, rows=rows)
    made.save(tmp_path / "a.pot")
    again = Student.load(tmp_path / "a.pot")
    assert again.labels == made.labels
    assert again.lookup == made.lookup
    assert (again.shape, again.bits, again.steps) == (made.shape, made.bits, made.steps)
    for name, weight in made.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)
    assert again.parameters == made.parameters
    again.save(tmp_path / "b.pot")
    assert (tmp_path / "a.pot").read_bytes() == (tmp_path / "b.pot").read_bytes()


@pytest.mark.parametrize("rows", [None, [2, 1, 2, 3, 1, 2]], ids=["own", "shared"])
def test_a_file_can_hold_its_words_a_temperature_and_facts(rows, tmp_path):
    made, _ = student("mlp", (3, 5), rows=rows)
    known = dataclasses.replace(made.lookup, known=Words(sorted(WORDS)))
    made = dataclasses.replace(made, lookup=known, temperature=1.37, facts={"version": "1", "déjà": [1, None]})
    made.save(tmp_path / "a.pot")
    again = Student.load(tmp_path / "a.pot")
    assert again.lookup == known
    assert again.words == sorted(WORDS)
    assert again.facts == made.facts
    assert again.temperature == pytest.approx(1.37)
    np.testing.assert_allclose(again.predict_proba(ODD), made.predict_proba(ODD), atol=1e-6)
    again.save(tmp_path / "b.pot")
    assert (tmp_path / "a.pot").read_bytes() == (tmp_path / "b.pot").read_bytes()


@pytest.mark.parametrize("name", ["a\0b.pot", "a\ud800.pot"])
def test_a_name_that_no_file_can_have_is_refused(name, tmp_path):
    with pytest.raises(PotstillError, match="invalid file name"):
        student()[0].save(tmp_path / name)
    with pytest.raises(PotstillError, match="cannot be loaded"):
        Student.load(tmp_path / name)


def test_a_temperature_softens_and_changes_no_label():
    made, _ = student()
    softer = dataclasses.replace(made, temperature=3.0)
    assert softer.predict(ODD).tolist() == made.predict(ODD).tolist()
    assert softer.predict_proba(ODD).max() < made.predict_proba(ODD).max()


def test_a_file_of_no_words(tmp_path):
    made, _ = student("mlp")
    empty = dataclasses.replace(made.lookup, known=Words([]))
    weights = made.weights | {"embedding.weight": made.weights["embedding.weight"][:1]}
    dataclasses.replace(made, lookup=empty, weights=weights).save(tmp_path / "a.pot")
    assert Student.load(tmp_path / "a.pot").words == []


@pytest.mark.parametrize("bits", [3, 12, 32])
def test_fingerprints_of_any_width_are_kept(bits, tmp_path):
    made, _ = student()
    known = sorted({int(x) for x in np.random.default_rng(0).integers(0, 2**bits, len(WORDS) + 9)})[: len(WORDS)]
    known = known if bits > 3 else [0, 1, 2, 5, 6, 7]
    made = Student(
        made.labels, Lookup(Fingerprints(known, [9], bits), None, 1, 5), made.shape, made.weights, made.bits, made.steps
    )
    made.save(tmp_path / "a.pot")
    assert Student.load(tmp_path / "a.pot").lookup.known.prints == known


def test_a_file_is_about_as_small_as_its_numbers(tmp_path):
    from potstill.student.distil import distil

    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 3000, 12)) for _ in range(3000)]
    params = settings(architecture="bigru", words=1000, embedding=3, hidden=6, bits=4, fingerprint=4, epochs=1)
    table = {"text": texts[:10], "label": np.zeros(10, np.int64)}
    trained = distil(["yes", "no"], texts, rng.normal(size=(3000, 2)).astype("float32"), table_of(table), params)
    size = trained.save(tmp_path / "student")
    weights = (1000 * 3 * 4 + (trained.student.parameters - 3000) * 6) / 8
    assert size < weights + 1000 * 6.5 / 8 + 64 + 80  # fingerprints, salts, the rest


def table_of(columns):
    import pandas as pd

    return pd.DataFrame(columns)


def test_words_and_signs_are_told_apart():
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
def test_words_are_found_in_any_script(text, words):
    assert tokenizer.words(text) == words


def test_texts_are_cut_and_never_empty():
    encoded = lookup(["a", "b"], max_length=3).encode(["b a b a", "", "c"])
    assert encoded.lengths.tolist() == [3, 1, 1]
    a, b = (lookup(["a", "b"]).row(word) for word in "ab")
    assert {a, b} == {1, 2}
    assert encoded.ids.tolist() == [b, a, b, tokenizer.UNKNOWN, tokenizer.UNKNOWN]


def test_words_can_share_a_row():
    one = lookup(["a", "b", "c"], rows=[1, 2, 1])
    assert one.size == 3
    assert sorted(one.row(word) for word in "abc") == [1, 1, 2]


def test_runs_with_a_row_come_after_the_words():
    found = lookup(["good", "not good"], longest=2, max_length=3)
    good, not_good = found.row("good"), found.row("not good")
    encoded = found.encode(["a not good x", "not"])
    assert encoded.ids.tolist() == [0, 0, good, not_good, 0]
    assert encoded.lengths.tolist() == [4, 1]


def test_fingerprints_never_change():
    # Whoever wrote a file years ago expects these.
    assert tokenizer.checksum("happy") == zlib.crc32(b"happy") == 0xBEED83C9
    assert tokenizer.fingerprint(tokenizer.checksum("happy"), [0, 1, 2, 3], 16) == 35774
    array = np.array([tokenizer.checksum("happy")], np.uint64)
    assert tokenizer.stir(array, 5)[0] == tokenizer.stir(int(array[0]), 5)
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
            known = dataclasses.replace(made.lookup, known=Words(sorted(WORDS)))
            made = dataclasses.replace(made, lookup=known, temperature=2.0)
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
        with pytest.raises(PotstillError, match=r"is a folder: give the model file in it, such as .*student\.pot"):
            Student.load(path.parent)

    def test_a_file_without_end_is_not_read_to_its_end(self, monkeypatch):
        monkeypatch.setattr(file, "LARGEST", 1 << 16)
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

    def test_another_version_is_named(self, path):
        self.refused(path, b"pot9" + path.read_bytes()[4:], "format is b'pot9'")

    def test_any_flipped_bit_and_any_missing_end_is_noticed(self, path):
        whole = path.read_bytes()
        for at in range(4, len(whole), 7):
            self.refused(path, whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :], "damaged")
            self.refused(path, whole[:at], "damaged")

    def test_a_network_wider_than_any_student_is_refused(self, path, monkeypatch):
        monkeypatch.setattr(file, "WIDEST", 2)
        self.refused(path, path.read_bytes(), "out of range")

    def test_whatever_is_forged_ends_in_one_line(self, path):
        """A file with a right checksum and wrong contents: no crash, no endless loop, no gigabytes."""
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
        """Puts other bytes in the place of a student's deflated facts."""
        made, _ = student("cnn", (4, 6))
        known = dataclasses.replace(made.lookup, known=Words(sorted(WORDS)))
        body = dataclasses.replace(made, lookup=known).to_bytes()[8:]
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
            (bytes(file.LARGEST_FACTS + 1), "too long"),
        ],
    )
    def test_forged_facts_are_refused(self, facts, message, forge):
        forge[1](zlib.compress(facts, 9, wbits=-15), message)

    def test_facts_end_where_the_file_ends(self, forge):
        real, refused = forge
        refused(real[:-3], "cut off")
        refused(real + b"more", "cut off")


@pytest.fixture(scope="module")
def bodies():
    """What stands behind the checksum, of students of every kind."""
    made = [student(architecture, bits)[0] for architecture in ARCHITECTURES for bits in ((3, 5), (32, 32))]
    strings = [
        dataclasses.replace(one, lookup=dataclasses.replace(one.lookup, known=Words(sorted(WORDS)))) for one in made
    ]
    return [one.to_bytes()[8:] for one in made + strings]


@settings_of(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_forgery_is_refused_or_answers(bodies, data):
    """Bytes changed, cut, doubled or put in, under a right checksum."""
    body = bytearray(data.draw(st.sampled_from(bodies)))
    for _ in range(data.draw(st.integers(1, 4))):
        # Half of the changes in the header, where they do most.
        at = data.draw(st.one_of(st.integers(0, 30), st.integers(0, len(body))))
        end = at + data.draw(st.integers(0, 8))
        body[at:end] = data.draw(st.binary(max_size=8))
    content = b"pot1" + zlib.crc32(body).to_bytes(4, "little") + bytes(body)
    try:
        made = Student(**file.unpack(content))
    except ValueError:
        return
    for texts in ([*ODD[:3], "one two three"], ["one two three ☕"] * 70):
        assert made.predict_proba(texts).shape == (len(texts), len(made.labels))
