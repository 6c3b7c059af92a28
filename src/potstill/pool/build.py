"""Build the transfer set, in memory that grows by a few bytes per text."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from potstill.core.errors import PotstillError
from potstill.core.schemas import POOL_SCHEMA
from potstill.data.clean import comparison_key
from potstill.data.dataset import Dataset
from potstill.data.sources import HELD_OUT, Source
from potstill.pool import variants
from potstill.pool.generate import NgramModel
from potstill.pool.params import PoolParams
from potstill.runtime import tokenizer

SHARD = 2048  # rows that the stage `label` labels at once, and has to repeat if it is killed
SAMPLE = 200_000  # texts of which variants and the n-gram model are made, at most; drawn at random
MOST_HELD_OUT = 1000  # the 95% interval of an agreement of 95% is 3 points wide then; a student learns from the others


def build(prepared: Path, target: Path, params: PoolParams, borrowed_words: Sequence[str] = ()) -> Counter[str]:
    """Collect the texts of every source that is switched on.

    A text that occurs in validation or test, or that an earlier source gave, is left out (compared by
    `data.clean.comparison_key`). A source that cannot give as many distinct texts as it should gives what it can. Of
    the unlabelled texts, some are held out: no variant is made of them, and they are the last rows.

    Args:
        prepared: the folder of the prepared data; texts of validation and test are left out.
        target: the Parquet file to write, with the columns `text` and `source`, one of `sources.SOURCES` or
            `sources.HELD_OUT`.
        params: the settings.
        borrowed_words: the words that `borrow` draws from, lower-cased; those that occur in the texts are left out.

    Returns:
        The rows of each source.

    Raises:
        PotstillError: the data are missing or damaged, or there are no texts.
    """
    rng = random.Random(params.seed)
    real: dict[Source, np.ndarray] = {"train": _hashes(prepared, "train")} if params.train else {}
    if params.unlabelled != 0:
        real["unlabelled"] = _hashes(prepared, "unlabelled")
        if params.unlabelled is not None and params.unlabelled < len(real["unlabelled"]):
            drawn = np.zeros(len(real["unlabelled"]), bool)
            drawn[rng.sample(range(len(drawn)), params.unlabelled)] = True
            real["unlabelled"][~drawn] = NOTHING
    tested = np.concatenate([_hashes(prepared, split) for split in ("validation", "test")])
    known, first = np.unique(np.concatenate([tested, *real.values()]), return_index=True)
    is_kept = np.zeros(len(tested) + sum(map(len, real.values())), bool)
    is_kept[first[known != NOTHING]] = True
    is_kept = is_kept[len(tested) :]
    is_held_out = np.zeros_like(is_kept)
    unlabelled = np.flatnonzero(is_kept[len(real.get("train", ())) :]) + len(real.get("train", ()))
    is_held_out[unlabelled[rng.sample(range(len(unlabelled)), held_out(len(unlabelled), params.held_out))]] = True
    is_kept &= ~is_held_out
    count = int(is_kept.sum())
    if not count:
        raise PotstillError(
            "`pool`: no texts. Set `pool.train` to true, or add unlabelled texts and `pool.unlabelled`."
        )
    with_variants = params.replace or params.drop or params.splice or params.generated or params.borrow
    is_base = is_kept.copy() if with_variants else np.zeros_like(is_kept)
    if with_variants and count > SAMPLE:
        is_base[np.random.default_rng(params.seed).permutation(np.flatnonzero(is_kept))[SAMPLE:]] = False

    with _Rows(target) as rows:
        texts: list[list[str]] = []
        kept_back: list[str] = []
        start = 0
        for source in real:
            for batch in Dataset.texts(prepared, source):
                here = slice(start, start + len(batch))
                rows.add(batch.filter(pa.array(is_kept[here])), source)
                kept_back += batch.filter(pa.array(is_held_out[here])).to_pylist()
                texts += map(tokenizer.pieces, batch.filter(pa.array(is_base[here])).to_pylist())
                start = here.stop
        if with_variants:
            _add_variants(texts, count, params, borrowed_words, rng, _Seen(known), rows)
        rows.add(pa.array(kept_back, pa.large_string()), HELD_OUT)
    return rows.counts


def held_out(unlabelled: int, share: float) -> int:
    """Return how many of the unlabelled texts are held out, given the share."""
    return min(int(share * unlabelled), MOST_HELD_OUT)


def _add_variants(
    texts: list[list[str]],
    count: int,
    params: PoolParams,
    borrowed_words: Sequence[str],
    rng: random.Random,
    seen: "_Seen",
    rows: "_Rows",
) -> None:
    """Add variants of tokenised texts; the settings are rows per text of `count`, or more, see `scale`."""
    # Words are drawn uniformly, so that the teacher labels rare ones too; most that occur once are noise.
    uses = Counter(word for words in texts for word in words)
    vocabulary = sorted(word for word, number in uses.items() if number > 1) or sorted(uses)
    in_texts = {word for words in texts for word in tokenizer.words(" ".join(words))} if borrowed_words else set()
    foreign = [word for word in borrowed_words if word not in in_texts]
    shares = (params.replace, params.drop, params.splice, params.generated, params.borrow if foreign else 0)
    pick, rate = rng.choice, params.replace_rate
    add = partial(_add_new, seen, rows, count * scale(count, sum(shares), params.min_texts))
    add("replace", params.replace, lambda: variants.replace(pick(texts), rate, vocabulary, rng))
    add("drop", params.drop, lambda: variants.drop(pick(texts), params.drop_rate, rng))
    add("splice", params.splice, lambda: variants.splice(pick(texts), pick(texts), rng))
    if params.generated:
        model = NgramModel(texts, params.ngram_order)
        add("generated", params.generated, lambda: model.sample(rng))
    if foreign:
        add("borrow", params.borrow, lambda: variants.replace(pick(texts), rate, foreign, rng))


def scale(texts: int, share: float, min_texts: int) -> float:
    """Return the factor, at least 1, with which texts and variants are at least `min_texts`.

    Args:
        texts: the number of real texts.
        share: variants and generated texts per real text.
        min_texts: the number to reach.
    """
    return max(1.0, (min_texts - texts) / (share * texts)) if share else 1.0


def _add_new(
    seen: "_Seen", rows: "_Rows", count: float, source: Source, share: float, make: Callable[[], list[str]]
) -> None:
    """Add `share * count` new texts; try at most twice as often, as there may not be enough that are new."""
    new: list[str] = []
    missing = round(share * count)
    for _ in range(2 * missing):
        text = tokenizer.join(make())
        if seen.add(_hash(text)):
            new.append(text)
            missing -= 1
        if len(new) == SHARD or not missing:
            rows.add(pa.array(new, pa.large_string()), source)
            new = []
        if not missing:
            break
    rows.add(pa.array(new, pa.large_string()), source)


NOTHING = np.uint64(0)


def _hash(text: str) -> np.uint64:
    """Return 64 bits of the hash of a text's key, 0 if it is empty; 10 million texts collide with probability 3e-6."""
    key = comparison_key(text).encode()
    return np.uint64(int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")) if key else NOTHING


def _hashes(prepared: Path, split: str) -> np.ndarray:
    texts = (text for batch in Dataset.texts(prepared, split) for text in batch.to_pylist())
    return np.fromiter(map(_hash, texts), np.uint64)


class _Seen:
    """A set of hashes: a large sorted array, and those that were added since."""

    def __init__(self, known: np.ndarray) -> None:
        self.known = known
        self.since = {NOTHING}

    def add(self, text: np.uint64) -> bool:
        """Add a hash; return whether it is new."""
        place = self.known.searchsorted(text)
        if text in self.since or (place < len(self.known) and self.known[place] == text):
            return False
        self.since.add(text)
        return True


class _Rows:
    """Write a Parquet file with `SHARD` rows in each row group, except the last."""

    def __init__(self, path: Path) -> None:
        self.writer = pa.parquet.ParquetWriter(path, POOL_SCHEMA)
        self.waiting = POOL_SCHEMA.empty_table()
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *raised: object) -> None:
        if len(self.waiting):
            self.writer.write_table(self.waiting)
        self.writer.close()

    def add(self, texts: pa.Array, source: str) -> None:
        """Add texts of one source."""
        if not len(texts):
            return
        self.counts[source] += len(texts)
        sources = pa.repeat(pa.scalar(source, pa.large_string()), len(texts))
        added = pa.table([texts.cast(pa.large_string()), sources], schema=POOL_SCHEMA)
        self.waiting = pa.concat_tables([self.waiting, added])
        if full := len(self.waiting) // SHARD * SHARD:
            self.writer.write_table(self.waiting.slice(0, full), row_group_size=SHARD)
            self.waiting = self.waiting.slice(full).combine_chunks()
