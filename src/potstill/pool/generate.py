"""Sampling new texts from an n-gram language model of the texts at hand."""

import random
from collections import defaultdict
from collections.abc import Iterable

END = ""


class NgramModel:
    """A Markov chain over words: the next one is drawn as it followed the last `order - 1` in the texts."""

    def __init__(self, texts: Iterable[list[str]], order: int) -> None:
        """Count the continuations.

        Args:
            texts: tokenised texts.
            order: words in an n-gram; 3 is a trigram model. Higher copies longer stretches.
        """
        self.context = order - 1
        self.following: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for words in texts:
            padded = [END] * self.context + words + [END]
            for i in range(self.context, len(padded)):
                self.following[tuple(padded[i - self.context : i])].append(padded[i])

    def sample(self, rng: random.Random, longest: int = 200) -> list[str]:
        """Draw one text of at most `longest` words."""
        words = [END] * self.context
        while len(words) < longest + self.context:
            word = rng.choice(self.following[tuple(words[-self.context :])])
            if word == END:
                break
            words.append(word)
        return words[self.context :]
