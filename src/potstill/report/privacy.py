"""Words of the training texts that the model file holds."""

import re
from collections.abc import Iterable
from typing import Any

from potstill.runtime import tokenizer
from potstill.runtime.model import Classifier, Student

SHOWN = 50  # rare words that the page lists
_DIGIT = re.compile(r"\d")


def vocabulary_privacy(student: Classifier, texts: Iterable[str], k: int) -> dict[str, Any]:
    """Count the words of a student's file that occur in few texts and may identify a person.

    Args:
        student: the student.
        texts: the train and unlabelled texts.
        k: the number of texts below which a word is rare, as in k-anonymity (Sweeney 2002).

    Returns:
        `holds`: what of the texts the file holds, `words`, `hashes` or `nothing`. For words also their number, `words`;
        how many have a digit, `numbers`, and how many are in no text, `foreign`; and `rare`, the words that some but
        fewer than k texts have, the rarest first.
    """
    if not isinstance(student, Student):
        return {"holds": "nothing"}
    if student.words is None:
        return {"holds": "hashes"}
    # Pieces of words are those of the teacher's vocabulary.
    words = [word for word in student.words if not word.startswith(tokenizer.CONTINUATION)]
    found = _occurrences(words, texts, student.vocabulary.max_ngram, k)
    rare = sorted((word for word, number in found.items() if 0 < number < k), key=lambda word: (found[word], word))
    return {
        "holds": "words",
        "words": len(words),
        "numbers": sum(_DIGIT.search(word) is not None for word in words),
        "rare": rare,
        "foreign": sum(number == 0 for number in found.values()),
    }


def _occurrences(words: list[str], texts: Iterable[str], max_ngram: int, k: int) -> dict[str, int]:
    """Return in how many texts each word or n-gram is, up to k, at which its texts are counted no further."""
    found = dict.fromkeys(words, 0)
    counted = set(words)
    for text in texts:
        if not counted:
            break
        named = tokenizer.words(text)
        for entry in counted.intersection(named) | counted.intersection(tokenizer.ngrams(named, max_ngram)):
            found[entry] += 1
            if found[entry] == k:
                counted.discard(entry)
    return found
