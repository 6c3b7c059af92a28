"""Rule-based variants of texts.

They may change what a text means: the teacher labels every variant, so no label is copied (Gupta et al.,
arXiv 2305.12565, who also find that distilling wants harder changes than fine-tuning does).
"""

import random


def replace(words: list[str], rate: float, vocabulary: list[str], rng: random.Random) -> list[str]:
    """Swap each word, with probability `rate`, for one drawn from `vocabulary`, all alike."""
    return [rng.choice(vocabulary) if rng.random() < rate else word for word in words]


def drop(words: list[str], rate: float, rng: random.Random) -> list[str]:
    """Leave out each word with probability `rate`."""
    return [word for word in words if rng.random() >= rate]


def splice(first: list[str], second: list[str], rng: random.Random) -> list[str]:
    """The beginning of one text and the end of another, each cut at a random place."""
    return first[: rng.randint(0, len(first))] + second[rng.randint(0, len(second)) :]
