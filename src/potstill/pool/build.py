"""Putting the transfer set together."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pandas as pd

from potstill.corpus.clean import key
from potstill.corpus.dataset import Dataset
from potstill.errors import PotstillError
from potstill.params.pool import PoolParams
from potstill.pool import variants
from potstill.pool.generate import NgramModel
from potstill.runtime import tokenizer


def build(data: Dataset, params: PoolParams, lexicon: Sequence[str] = ()) -> pd.DataFrame:
    """Collect the texts of every source that is switched on.

    A text that occurs in validation or test, or that an earlier source gave, is left out (compared as in
    `corpus.clean.key`). A source that cannot give as many distinct texts as it should gives what it can.

    Args:
        data: the prepared data; of validation and test only what to leave out is taken.
        params: the settings.
        lexicon: the words that `borrow` draws from, lower-cased; those that the texts hold are left out.

    Returns:
        A table with the columns `text` and `source`, one of `sources.SOURCES`.

    Raises:
        PotstillError: nothing is left to learn from.
    """
    rng = random.Random(params.seed)
    seen = {key(text) for split in (data.validation, data.test) for text in split["text"]}
    rows: list[tuple[str, str]] = []

    def add(text: str, source: str) -> bool:
        compared = key(text)
        if not compared or compared in seen:
            return False
        seen.add(compared)
        rows.append((text, source))
        return True

    def fill(source: str, wanted: int, make: Callable[[], list[str]]) -> None:
        # Twice as many tries as rows: enough to skip duplicates, and an end where there is nothing new.
        tries = 2 * wanted
        while wanted and tries:
            wanted -= add(tokenizer.join(make()), source)
            tries -= 1

    if params.train:
        for text in data.train["text"]:
            add(text, "train")
    unlabelled = data.unlabelled["text"].tolist()
    if params.unlabelled is not None and params.unlabelled < len(unlabelled):
        unlabelled = rng.sample(unlabelled, params.unlabelled)
    for text in unlabelled:
        add(text, "unlabelled")
    if not rows:
        raise PotstillError("the pool has no text: set pool.train to true, or pool.unlabelled above 0 with such text")

    texts = [tokenizer.pieces(text) for text, _ in rows]
    # Every word as often as any other, so that the teacher labels rare words too; most that occur once are noise.
    uses = Counter(word for words in texts for word in words)
    vocabulary = sorted(word for word, number in uses.items() if number > 1) or sorted(uses)
    pick = rng.choice
    count = len(texts)
    fill(
        "replace",
        round(params.replace * count),
        lambda: variants.replace(pick(texts), params.replace_rate, vocabulary, rng),
    )
    fill("drop", round(params.drop * count), lambda: variants.drop(pick(texts), params.drop_rate, rng))
    fill("splice", round(params.splice * count), lambda: variants.splice(pick(texts), pick(texts), rng))
    if params.generated:
        model = NgramModel(texts, params.order)
        fill("generated", round(params.generated * count), lambda: model.sample(rng))
    # What the texts hold is looked for only if there is something to borrow.
    known = {word for words in texts for word in tokenizer.words(" ".join(words))} if lexicon else set()
    if foreign := [word for word in lexicon if word not in known]:
        fill(
            "borrow",
            round(params.borrow * count),
            lambda: variants.replace(pick(texts), params.replace_rate, foreign, rng),
        )
    return pd.DataFrame(rows, columns=["text", "source"])
