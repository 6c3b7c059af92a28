"""Rule-based variants of texts.

They may change the meaning of a text; labels are not copied, since the teacher labels every variant (Gupta et al.,
arXiv 2305.12565, who also find that distillation benefits from stronger changes than fine-tuning).
"""

import random


def replace(words: list[str], rate: float, vocabulary: list[str], rng: random.Random) -> list[str]:
    """Replace each word, with probability `rate`, by one drawn uniformly from `vocabulary`."""
    return [rng.choice(vocabulary) if rng.random() < rate else word for word in words]


def drop(words: list[str], rate: float, rng: random.Random) -> list[str]:
    """Drop each word with probability `rate`."""
    return [word for word in words if rng.random() >= rate]


def splice(first: list[str], second: list[str], rng: random.Random) -> list[str]:
    """Join the beginning of one text and the end of another, each cut at a random place."""
    return first[: rng.randint(0, len(first))] + second[rng.randint(0, len(second)) :]
