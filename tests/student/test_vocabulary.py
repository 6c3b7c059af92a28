import dataclasses

import numpy as np
import pytest

from potstill.runtime import tokenizer
from potstill.student import vocabulary
from tests.settings import student_settings
from tests.tasks import FEELINGS


def chosen(texts, targets, size, informative_share, max_ngram=1):
    return vocabulary.select_entries(vocabulary.count(texts, targets, max_ngram), size, informative_share)


def build(texts, targets, params, multi_label=False):
    built = vocabulary.build(texts, targets, params, multi_label)
    return built.lookup, built.entries


def test_the_most_informative_words_are_chosen():
    texts = ["the good day"] * 5 + ["the bad day"] * 5 + ["the day the day"] * 5
    targets = np.array([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5 + [[0.5, 0.5]] * 5)
    assert set(chosen(texts, targets, 2, informative_share=1.0)) == {"good", "bad"}
    assert chosen(texts, targets, 2, informative_share=0.0) == ["day", "the"]  # 20 times each, so by name
    assert set(chosen(texts, targets, 3, informative_share=0.67)) == {"good", "bad", "day"}
    assert len(chosen(texts, targets, 100, informative_share=0.9)) == 4


def test_informative_ngrams_are_chosen():
    texts = ["not good"] * 5 + ["good"] * 5 + ["not bad"] * 5 + ["bad"] * 5
    targets = np.array([[0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]).repeat(5, axis=0)
    assert set(chosen(texts, targets, 2, informative_share=1.0, max_ngram=2)) == {"not good", "not bad"}
    assert chosen(texts, targets, 3, informative_share=0.67, max_ngram=2)[2] == "bad"  # the rest are single words


def make_words(number, seed=0):
    """Texts of made-up words, of which the first third determine the target."""
    rng = np.random.default_rng(seed)
    names = [f"w{i:x}" for i in range(number)]
    texts = [" ".join(rng.choice(names, 8)) for _ in range(number * 3)]
    targets = np.array([[0.5 + 0.4 * (text.count("w1") > 1), 0.5 - 0.4 * (text.count("w1") > 1)] for text in texts])
    return texts, targets


def test_a_vocabulary_of_strings_finds_its_words_only():
    texts, targets = make_words(600)
    lookup, names = build(texts, targets, student_settings(vocab_size=200, fingerprint_bits=None))
    assert [lookup.row(name) for name in names] == list(range(1, 200))
    assert lookup.entries.strings == names == sorted(names)
    others = {word for text in texts for word in text.split()} - set(names)
    assert {lookup.row(word) for word in others} == {tokenizer.UNKNOWN}


@pytest.mark.parametrize(("words", "fingerprint"), [(2, 1), (20, 2), (200, 4), (500, 1)])
def test_every_row_of_a_vocabulary_of_fingerprints_has_a_word(words, fingerprint):
    texts, targets = make_words(600)
    lookup, names = build(texts, targets, student_settings(vocab_size=words, fingerprint_bits=fingerprint))
    assert [lookup.row(name) for name in names] == list(range(1, words))
    assert lookup.entries.values == sorted(set(lookup.entries.values))


def test_the_length_fits_almost_all_texts():
    assert vocabulary.fit_length([5] * 100) == vocabulary.fit_length([300] + [5] * 199) == 128
    assert vocabulary.fit_length([300] * 3 + [5] * 97) == 300
    assert vocabulary.fit_length([5000] * 3 + [5] * 97) == 1024
    texts = ["word " * 200, "今" * 150, "a" * 1000]
    lookup, _ = build(texts, np.full((3, 2), 0.5), student_settings(max_length=None))
    assert lookup.max_length == 200


def test_truncated_texts_are_counted():
    assert vocabulary.truncated_share(["a b c", "a b c d", "abcdef", "今天很好", ""], 3) == 0.4


def test_words_with_similar_targets_share_a_row():
    texts = ["good day", "great day", "bad day", "awful day", "so so"] * 5
    targets = np.array([[0.1, 0.9], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.5, 0.5]] * 5)
    lookup, names = build(texts, targets, student_settings(vocab_size=7, embedding_rows=4))
    good, great, bad, awful, day, so = (lookup.row(word) for word in ("good", "great", "bad", "awful", "day", "so"))
    assert {good, bad, day} == {1, 2, 3}
    assert (great, awful, so) == (good, bad, day)
    assert lookup.row("else") == tokenizer.UNKNOWN
    assert lookup.size == 4
    assert sorted(names) == ["awful", "bad", "day", "good", "great", "so"]


def test_rows_are_at_most_the_number_of_distinct_targets():
    texts = ["good", "great", "bad", "awful"] * 5
    targets = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]] * 5)
    lookup, _ = build(texts, targets, student_settings(vocab_size=5, embedding_rows=4))
    assert lookup.size == 3
    assert sorted(lookup.rows) == [1, 1, 2, 2]


@pytest.mark.parametrize("words", [5, 50])
def test_as_many_rows_as_words_are_not_shared(words):
    lookup, names = build(
        ["b a d", "c"], np.full((2, 2), 0.5), student_settings(vocab_size=words, embedding_rows=words)
    )
    assert lookup.rows is None
    assert sorted(map(lookup.row, names)) == [1, 2, 3, 4]


def test_a_vocabulary_larger_than_the_words_has_them_all():
    _, names = build(["b a", "c"], np.full((2, 2), 0.5), student_settings(vocab_size=50))
    assert sorted(names) == ["a", "b", "c"]


@pytest.mark.slow
def test_salts_reduce_fingerprint_collisions():
    texts, targets = make_words(2000)
    lookup, names = build(texts, targets, student_settings(vocab_size=200, fingerprint_bits=3))
    others = {word for text in texts for word in text.split()} - set(names)
    mistaken = sum(lookup.row(word) != tokenizer.UNKNOWN for word in others)
    unsalted = dataclasses.replace(lookup.entries, salts=[0] * len(lookup.entries.salts))
    plain = dataclasses.replace(lookup, entries=unsalted)
    assert mistaken < 0.7 * sum(plain.row(word) != tokenizer.UNKNOWN for word in others)


def test_overlong_words_are_not_chosen():
    texts = ["short " + "x" * 1_000_000, "y" * 256] * 5
    lookup, names = build(texts, np.full((10, 2), 0.5), student_settings(fingerprint_bits=None))
    assert lookup.entries.strings == names == ["short", "y" * 256]


def test_the_vocabulary_is_chosen_by_information_about_each_label(mixed):
    texts = mixed.train["text"].tolist()
    params = student_settings(vocab_size=16, informative_share=1.0, fingerprint_bits=None, embedding_rows=5)
    lookup, words = build(texts, mixed.targets("train").astype(float), params, multi_label=True)
    assert {word for words in FEELINGS.values() for word in words} <= set(words)
    row = dict(zip(words, lookup.rows, strict=True))
    for alike in FEELINGS.values():
        assert len({row[word] for word in alike}) == 1
    assert len({row[alike[0]] for alike in FEELINGS.values()}) == 3


PIECES = ["a", "##b", "##a", "b", "good", "##ness", "unseen", "##é", "日", "the"]


def with_pieces(texts, targets, **changes):
    settings = {"vocab_size": 8, "informative_share": 0.5, "fingerprint_bits": None}
    return vocabulary.build(texts, targets, student_settings(**settings | changes), pieces=PIECES)


@pytest.fixture
def opinions():
    """Texts whose most informative words are no pieces, and their targets."""
    texts = ["the superb goodness", "the dreadful badness", "the day"] * 5
    return texts, np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]] * 5)


def test_a_vocabulary_with_pieces_has_characters_own_words_and_the_first_pieces(opinions):
    built = with_pieces(*opinions, vocab_size=10)
    characters, own = (
        {"a", "b", "##a", "##b"},
        {"badness", "dreadful", "goodness", "the"},
    )  # three informative ones, and the most frequent
    assert set(built.entries) == characters | own | {"good"}
    assert built.entries == built.lookup.entries.strings == sorted(built.entries)
    assert {entry for entry, is_own in zip(built.entries, built.is_own, strict=True) if is_own} == own
    uses = dict(zip(built.entries, built.occurrences.tolist(), strict=True))
    assert (uses["badness"], uses["good"], uses["##a"]) == (5, 0, 0)


def test_without_a_share_of_its_own_it_has_pieces_only(opinions):
    built = with_pieces(*opinions, informative_share=0.0, vocab_size=100)
    assert set(built.entries) == set(PIECES)
    assert not built.is_own.any()


def test_a_piece_that_was_chosen_for_its_texts_is_one_of_their_own_words(opinions):
    built = with_pieces(*opinions, informative_share=1.0, vocab_size=100)
    assert built.is_own[built.entries.index("the")]
    assert not built.is_own[built.entries.index("unseen")]
    assert set(PIECES) <= set(built.entries)


@pytest.mark.parametrize("fingerprint_bits", [None, 8])
def test_words_outside_a_vocabulary_with_pieces_are_split(opinions, fingerprint_bits):
    lookup = with_pieces(*opinions, fingerprint_bits=fingerprint_bits, vocab_size=100).lookup
    encoded = list(lookup.encode(["goodness", "abba", "goodab", "superb"]).lengths)
    assert encoded == [1, 4, 3, 1]


def test_a_vocabulary_of_fingerprints_has_its_pieces_in_the_order_of_its_rows(opinions):
    strings = with_pieces(*opinions, vocab_size=12)
    prints = with_pieces(*opinions, vocab_size=12, fingerprint_bits=12)
    assert set(prints.entries) == set(strings.entries)
    assert [prints.lookup.entries.find(entry) for entry in prints.entries] == list(range(len(prints.entries)))
    own = set(np.array(strings.entries)[strings.is_own])
    assert [entry in own for entry in prints.entries] == prints.is_own.tolist()


def test_only_words_of_the_texts_are_their_own(opinions):
    built = vocabulary.build(*opinions, student_settings())
    assert built.is_own.all()


IDENTIFIERS = [
    "order 4711 of ab12 for Jane.Doe+x@mail.example.org now",
    "see https://shop.example.org/jane?id=doe or www.example.org/private now",
    "thanks @janedoe and @bob_x: the 2nd call to +49 (30) 123-45 of DE89 3704 0044 now",
    "客服12号 请回复 jane@example.org 谢谢",
]
LEFT = {
    "order",
    "of",
    "for",
    "now",
    "see",
    "or",
    "thanks",
    "and",
    "the",
    "call",
    "to",
    "客",
    "服",
    "号",
    "请",
    "回",
    "复",
    "谢",
}
TARGETS = np.tile([0.5, 0.5], (len(IDENTIFIERS), 1))


def test_identifiers_are_no_words_of_the_vocabulary():
    counts = vocabulary.count(IDENTIFIERS, TARGETS, exclude_identifiers=True)
    assert {word for word in counts.index if word.isalnum()} == LEFT
    settings = student_settings(vocab_size=500, fingerprint_bits=None)
    built = vocabulary.build(IDENTIFIERS, TARGETS, settings, exclude_identifiers=True)
    assert set(built.entries) == set(counts.index)
    # Every runtime reads the same words of a text, of which these are unknown.
    assert built.lookup.row("4711") == built.lookup.row("jane") == built.lookup.row("janedoe") == tokenizer.UNKNOWN
    assert "jane" in vocabulary.count(IDENTIFIERS, TARGETS).index


def test_no_ngram_has_an_identifier():
    counts = vocabulary.count(["call 4711 now", "write to jane@example.org at once"], TARGETS[:2], 3, True)
    ngrams = {entry for entry in counts.index if " " in entry}
    assert ngrams == {"write to", "at once"}


def test_pieces_of_the_teacher_may_have_digits():
    settings = student_settings(vocab_size=500, fingerprint_bits=None, subwords=True)
    built = vocabulary.build(IDENTIFIERS, TARGETS, settings, pieces=["4", "##7", "2023"], exclude_identifiers=True)
    assert {"4", "##7", "2023"} < set(built.entries)
    assert "4711" not in built.entries
