"""Sample new texts from an n-gram language model."""

import random
from collections import defaultdict
from collections.abc import Iterable

END = ""


class NgramModel:
    """A Markov chain over words: draws the next word as often as it follows the last `order - 1` in the texts."""

    def __init__(self, texts: Iterable[list[str]], order: int) -> None:
        """Collect the words that follow every context.

        Args:
            texts: tokenised texts.
            order: words in an n-gram; 3 is a trigram model. A higher order copies longer n-grams.
        """
        self.context = order - 1
        self.following: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for words in texts:
            padded = [END] * self.context + words + [END]
            for i in range(self.context, len(padded)):
                self.following[tuple(padded[i - self.context : i])].append(padded[i])

    def sample(self, rng: random.Random, max_words: int = 200) -> list[str]:
        """Draw a text of at most `max_words` words."""
        words = [END] * self.context
        while len(words) < max_words + self.context:
            word = rng.choice(self.following[tuple(words[-self.context :])])
            if word == END:
                break
            words.append(word)
        return words[self.context :]
