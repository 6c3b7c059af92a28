"""Texts of any script are split, and words and n-grams are looked up."""

import time
import zlib

import numpy as np
import pytest

from potstill.runtime import tokenizer
from potstill.runtime.model import Student
from potstill.runtime.tokenizer import Fingerprints, Words
from tests.forged import ones_student
from tests.torch_students import vocabulary


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
    made = ones_student(Words(words))
    start = time.perf_counter()
    made.predict([words[5], "a"])
    assert time.perf_counter() - start < 5  # seconds


def test_fingerprints_with_the_same_low_bits_are_looked_up_quickly():
    prints = [i << 16 for i in range(1 << 16)]
    made = Student.from_bytes(ones_student(Fingerprints(prints, [0], 32)).to_bytes())
    start = time.perf_counter()
    made.predict(["a"])
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("text", ["我们 see 电影 now", "a  b\tc", "é à", "น้ำ ดี", "❤️ 日、本"])
def test_joined_pieces_split_into_the_same_pieces(text):
    found = tokenizer.pieces(text)
    assert "".join(found) == "".join(text.split())
    assert tokenizer.pieces(tokenizer.join(found)) == found
