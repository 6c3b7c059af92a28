"""Properties of a task that suggest an architecture: word-order sensitivity and unknown words."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from potstill.runtime.tokenizer import join, pieces, words

SEED = 0
# Sensitivities above which Wasserblat 2021 recommends a recurrent network, or a small Transformer: a bag of
# embeddings was good enough on Emotion (0.14) and IMDB (0.28), a recurrent network on SST-2 (0.34), and neither on
# CoLA (0.99).
RECURRENT, TRANSFORMER = 0.3, 0.7


def word_order_sensitivity(predict: Callable[[list[str]], Any], texts: Sequence[str]) -> dict[str, float] | None:
    """Measure the word-order sensitivity of a classifier.

    It is (100 - p) / 50, where p is the percentage of texts whose predicted class stays the same when their words are
    shuffled (Wasserblat 2021, Best Practices for Text Classification with Distillation, Part 3). On the article's data
    a fine-tuned RoBERTa has 0.14 on Emotion, 0.34 on SST-2 and 0.99 on CoLA.

    Args:
        predict: takes texts, returns scores (texts, classes).
        texts: those with fewer than two different words are left out.

    Returns:
        `wos` (the sensitivity), `survived` (p as a fraction) and `texts` (number of texts that were shuffled); None if
        there are none.
    """
    rng = random.Random(SEED)
    pairs = [(text, shuffled) for text in texts if (shuffled := _shuffled(pieces(text), rng)) is not None]
    if not pairs:
        return None
    before, after = (np.asarray(predict(list(side))) for side in zip(*pairs, strict=True))
    survived = float((before.argmax(1) == after.argmax(1)).mean())
    return {"wos": round(2 * (1 - survived), 6), "survived": round(survived, 6), "texts": len(pairs)}


def _shuffled(parts: list[str], rng: random.Random) -> str | None:
    if len(set(parts)) < 2:
        return None
    shuffled = parts
    while shuffled == parts:
        shuffled = rng.sample(parts, len(parts))
    return join(shuffled)


def out_of_vocabulary(vocabulary: set[str], texts: Sequence[str]) -> dict[str, float]:
    """Return the share of `words` that are not in a vocabulary, and of `texts` with at least one such word."""
    unknown = [[word not in vocabulary for word in words(text)] for text in texts]
    total = sum(map(len, unknown))
    return {
        "words": round(sum(map(sum, unknown)) / max(total, 1), 6),
        "texts": round(sum(map(any, unknown)) / max(len(texts), 1), 6),
    }


def vocabulary(texts: Sequence[str]) -> set[str]:
    """Return the set of words of some texts, by the student's tokenizer."""
    return {word for text in texts for word in words(text)}


def recommended_architecture(sensitivity: float) -> str:
    """Return the kind of student that Wasserblat 2021 (part 3) recommends at a word-order sensitivity."""
    if sensitivity < RECURRENT:
        return "bag"
    return "recurrent network" if sensitivity < TRANSFORMER else "small transformer"
