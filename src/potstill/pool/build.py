"""Putting the transfer set together, in memory that grows by a few bytes a text."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from potstill.corpus.clean import key
from potstill.corpus.dataset import Dataset
from potstill.errors import PotstillError
from potstill.params.pool import PoolParams
from potstill.pool import variants
from potstill.pool.generate import NgramModel
from potstill.pool.sources import Source
from potstill.runtime import tokenizer

SHARD = 2048  # rows that the stage `label` answers at once: of these at most it repeats when it was killed
SAMPLE = 200_000  # texts that variants are made of, and an n-gram model, drawn at random where there are more
SCHEMA = pa.schema([("text", pa.large_string()), ("source", pa.large_string())])


def build(prepared: Path, target: Path, params: PoolParams, lexicon: Sequence[str] = ()) -> Counter[str]:
    """Collect the texts of every source that is switched on.

    A text that occurs in validation or test, or that an earlier source gave, is left out (compared as in
    `corpus.clean.key`). A source that cannot give as many distinct texts as it should gives what it can.

    Args:
        prepared: the folder of the prepared data; of validation and test only what to leave out is taken.
        target: the Parquet file to write, with the columns `text` and `source`, one of `sources.SOURCES`.
        params: the settings.
        lexicon: the words that `borrow` draws from, lower-cased; those that the texts hold are left out.

    Returns:
        How many rows each source gave.

    Raises:
        PotstillError: the data are missing or damaged, or nothing is left to learn from.
    """
    rng = random.Random(params.seed)
    real: dict[Source, np.ndarray] = {}
    if params.train:
        real["train"] = _hashes(prepared, "train")
    if params.unlabelled != 0:
        real["unlabelled"] = _hashes(prepared, "unlabelled")
        if params.unlabelled is not None and params.unlabelled < len(real["unlabelled"]):
            drawn = np.zeros(len(real["unlabelled"]), bool)
            drawn[rng.sample(range(len(drawn)), params.unlabelled)] = True
            real["unlabelled"][~drawn] = NOTHING
    held_out = np.concatenate([_hashes(prepared, split) for split in ("validation", "test")])
    known, first = np.unique(np.concatenate([held_out, *real.values()]), return_index=True)
    kept = np.zeros(len(held_out) + sum(map(len, real.values())), bool)
    kept[first[known != NOTHING]] = True
    kept = kept[len(held_out) :]
    count = int(kept.sum())
    if not count:
        raise PotstillError("the pool has no text: set pool.train to true, or pool.unlabelled above 0 with such text")
    made = params.replace or params.drop or params.splice or params.generated or params.borrow
    based = kept.copy() if made else np.zeros_like(kept)
    if made and count > SAMPLE:
        based[np.random.default_rng(params.seed).permutation(np.flatnonzero(kept))[SAMPLE:]] = False

    with _Rows(target) as rows:
        texts: list[list[str]] = []
        start = 0
        for source in real:
            for batch in Dataset.texts(prepared, source):
                here = slice(start, start + len(batch))
                rows.add(batch.filter(pa.array(kept[here])), source)
                texts += map(tokenizer.pieces, batch.filter(pa.array(based[here])).to_pylist())
                start = here.stop
        if made:
            _make(texts, count, params, lexicon, rng, _Seen(known), rows)
    return rows.counts


def _make(
    texts: list[list[str]],
    count: int,
    params: PoolParams,
    lexicon: Sequence[str],
    rng: random.Random,
    seen: "_Seen",
    rows: "_Rows",
) -> None:
    """Add what is made of the pieces of some texts, in rows per text of `count`."""

    def fill(source: Source, wanted: int, make: Callable[[], list[str]]) -> None:
        made = []
        # Twice as many tries as rows: enough to skip duplicates, and an end where there is nothing new.
        for _ in range(2 * wanted):
            text = tokenizer.join(make())
            if seen.add(_hash(text)):
                made.append(text)
                wanted -= 1
            if len(made) == SHARD or not wanted:
                rows.add(pa.array(made, pa.large_string()), source)
                made = []
            if not wanted:
                return
        rows.add(pa.array(made, pa.large_string()), source)

    # Every word as often as any other, so that the teacher labels rare words too; most that occur once are noise.
    uses = Counter(word for words in texts for word in words)
    vocabulary = sorted(word for word, number in uses.items() if number > 1) or sorted(uses)
    pick = rng.choice
    fill(
        "replace",
        round(params.replace * count),
        lambda: variants.replace(pick(texts), params.replace_rate, vocabulary, rng),
    )
    fill("drop", round(params.drop * count), lambda: variants.drop(pick(texts), params.drop_rate, rng))
    fill("splice", round(params.splice * count), lambda: variants.splice(pick(texts), pick(texts), rng))
    if params.generated:
        model = NgramModel(texts, params.ngram_order)
        fill("generated", round(params.generated * count), lambda: model.sample(rng))
    # What the texts hold is looked for only if there is something to borrow.
    known = {word for words in texts for word in tokenizer.words(" ".join(words))} if lexicon else set()
    if foreign := [word for word in lexicon if word not in known]:
        fill(
            "borrow",
            round(params.borrow * count),
            lambda: variants.replace(pick(texts), params.replace_rate, foreign, rng),
        )


NOTHING = np.uint64(0)


def _hash(text: str) -> np.uint64:
    """64 bits of what a text is compared by, 0 of nothing. Two of ten million share them with a chance of 1e-6."""
    compared = key(text)
    if not compared:
        return NOTHING
    return np.uint64(int.from_bytes(hashlib.blake2b(compared.encode(), digest_size=8).digest(), "little"))


def _hashes(prepared: Path, split: str) -> np.ndarray:
    texts = (text for batch in Dataset.texts(prepared, split) for text in batch.to_pylist())
    return np.fromiter(map(_hash, texts), np.uint64)


class _Seen:
    """The texts that are there, by their hashes: many that are sorted, and what has come since."""

    def __init__(self, known: np.ndarray) -> None:
        self.known = known
        self.since = {NOTHING}

    def add(self, text: np.uint64) -> bool:
        """Whether it is new."""
        place = self.known.searchsorted(text)
        if text in self.since or (place < len(self.known) and self.known[place] == text):
            return False
        self.since.add(text)
        return True


class _Rows:
    """A Parquet file with `SHARD` rows in each group, but for the last."""

    def __init__(self, path: Path) -> None:
        self.writer = pa.parquet.ParquetWriter(path, SCHEMA)
        self.waiting = SCHEMA.empty_table()
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *raised: object) -> None:
        if len(self.waiting):
            self.writer.write_table(self.waiting)
        self.writer.close()

    def add(self, texts: pa.Array, source: Source) -> None:
        """Add texts of one source."""
        if not len(texts):
            return
        self.counts[source] += len(texts)
        added = pa.table(
            [texts.cast(pa.large_string()), pa.repeat(pa.scalar(source, pa.large_string()), len(texts))], schema=SCHEMA
        )
        self.waiting = pa.concat_tables([self.waiting, added])
        if whole := len(self.waiting) // SHARD * SHARD:
            self.writer.write_table(self.waiting.slice(0, whole), row_group_size=SHARD)
            self.waiting = self.waiting.slice(whole).combine_chunks()
