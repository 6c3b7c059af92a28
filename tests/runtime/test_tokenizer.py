"""Texts of any script are split, and words and n-grams are looked up."""

import time
import zlib

import numpy as np
import pytest

from potstill.runtime import tokenizer
from potstill.runtime.model import Student
from potstill.runtime.tokenizer import MAX_PIECE, MAX_SPLIT, UNKNOWN, Fingerprints, Vocabulary, Words
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


def fingerprints_of(entries):
    """The entries as fingerprints of 32 bits, and their names in the order of their rows."""
    prints = {tokenizer.fingerprint(tokenizer.checksum(entry), [0], 32): entry for entry in entries}
    return Fingerprints(sorted(prints), [0], 32), [prints[number] for number in sorted(prints)]


@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("play", "play"),  # a word of the vocabulary is not split
        ("playing", "play ##ing"),
        ("unplayable", "un ##play ##able"),
        ("unplayabl", "?"),  # one part is not known, so the word is not
        ("plays unplay", "play ##s un ##play"),
        ("plas", "pla ##s"),
        ("player", "player"),
        ("players", "player ##s"),  # the longest prefix
        ("able ing", "? ?"),  # pieces that only continue words
        ("##ing play", "? ? ? play"),  # signs are words of one character
        ("cafe\u0301s cafés", "cafe ##\u0301s caf ##és"),
        ("日s 日本", "日 ? 日 ?"),  # a character of its own
        ("Σs", "σ ##s"),
        ("😀s", "😀 ?"),
        ("", "?"),
    ],
)
def test_words_outside_the_vocabulary_are_split_into_the_longest_pieces(strings, text, pieces):
    pieces_known = ["##play", "##able", "##ing", "##s", "##\u0301s", "##és", "##本", "##"]
    entries = sorted(["play", "player", "pla", "un", "cafe", "caf", "日", "σ", "😀", "s#", "#a", *pieces_known])
    known, names = (Words(entries), entries) if strings else fingerprints_of(entries)
    found = Vocabulary(known, None, 1, 10, subwords=True)
    names = ["?", *names]
    assert " ".join(names[i] for i in found.encode([text]).ids) == pieces
    # Without subwords, only whole words are found.
    whole = Vocabulary(known, None, 1, 10).encode([text]).ids
    assert [names[i] for i in whole] == [word if word in names else "?" for word in tokenizer.words(text) or [""]]


def test_pieces_can_share_a_row():
    found = Vocabulary(Words(["##s", "a", "b"]), [2, 1, 2], 1, 10, subwords=True)
    assert found.encode(["as b bss"]).ids.tolist() == [1, 2, 2, 2, 2, 2]
    assert [found.word_rows(word) for word in ("a", "as", "ax")] == [(1,), (1, 2), (UNKNOWN,)]


@pytest.mark.parametrize("letter", ["x", "é", "\U00010400".lower()])
def test_pieces_and_split_words_have_a_limited_length(letter):
    longest, longer = "##" + letter * MAX_PIECE, "##" + letter * (MAX_PIECE + 1)
    found = Vocabulary(Words(sorted([longest, longer, "##" + letter, "a"])), None, 1, 10, subwords=True)
    one, many = found.row("##" + letter), found.row(longest)
    assert found.encode(["a" + letter * (MAX_PIECE + 1)]).ids.tolist() == [found.row("a"), many, one]
    assert found.word_rows("a" + letter * (MAX_SPLIT - 1)) == (found.row("a"), many, many, many, one, one, one)
    assert found.word_rows("a" + letter * MAX_SPLIT) == (UNKNOWN,)


def test_texts_are_truncated_before_words_are_split():
    found = Vocabulary(Words(["##s", "a"]), None, 1, 2, subwords=True)
    assert found.encode(["ass ass ass"]).lengths.tolist() == [6]


def test_subwords_exclude_ngrams():
    with pytest.raises(ValueError, match="subwords or n-grams, not both"):
        Vocabulary(Words(["a"]), None, 2, 10, subwords=True)


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
