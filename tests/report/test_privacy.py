"""Words in the model file that few texts have."""

from dataclasses import replace

import pandas as pd
import pytest

from potstill.report.facts import collect
from potstill.report.privacy import vocabulary_privacy
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from tests.report.inputs import PARAMS, make, page
from tests.students import student

TEXTS = ["the card of jane", "the bill, the card", "the CARD 4711", "the end"]


def holding(*entries, max_ngram=1, subwords=False):
    return replace(student("mlp"), vocabulary=Vocabulary(Words(sorted(entries)), None, max_ngram, 100, subwords))


def test_words_are_counted_once_per_text():
    found = vocabulary_privacy(holding("the", "card", "jane", "4711", "happy"), TEXTS, 3)
    expected = {"words": 5, "rare": ["4711", "jane"], "numbers": 1, "foreign": 1}
    assert found == expected | {"holds": "words"}
    assert vocabulary_privacy(holding("the", "card", "bill"), TEXTS, 4)["rare"] == ["bill", "card"]
    assert vocabulary_privacy(holding("the"), [], 4)["foreign"] == 1


def test_ngrams_are_counted_and_pieces_of_words_are_not():
    found = vocabulary_privacy(holding("the", "the card", "of jane", max_ngram=2), TEXTS, 3)
    assert found["rare"] == ["of jane"]
    found = vocabulary_privacy(holding("the", "ja", "##ne", subwords=True), TEXTS, 3)
    assert (found["words"], found["rare"], found["foreign"]) == (2, [], 1)


def test_a_file_without_words_says_so():
    hashed = replace(student("mlp"), vocabulary=Vocabulary(Fingerprints([1, 2], [0], 3), None, 1, 100), facts={})
    assert vocabulary_privacy(hashed, TEXTS, 3) == {"holds": "hashes"}
    named = replace(hashed, facts={"words": "card\njane"})
    assert vocabulary_privacy(named, TEXTS, 3)["rare"] == ["jane"]


@pytest.mark.parametrize("template", ["page.html", "page.md"])
def test_the_report_counts_rare_words_and_only_the_page_names_them(template):
    unlabelled = pd.Series(["zqjane is here", "zqjane again", *["the bill"] * 8])
    inputs = replace(make(texts=300), student=holding("zqjane", "bill", "zqx<b>", "9"), unlabelled=unlabelled)
    says = (
        "Of the 4 words in the model file, 2 occur in fewer than 5 of the 100 train and unlabelled texts, 1 has a "
        "digit and 1 is in none, but in the vocabulary of a checkpoint."
    )
    assert collect(inputs, PARAMS)["privacy"] == {"sentence": says, "rare": ["9", "zqjane"]}
    text = page(inputs, template, pictures=False)
    assert says in text
    assert ("zqjane" in text) == (template == "page.html")
