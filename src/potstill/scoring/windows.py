"""Long texts: a teacher reads them in overlapping windows of `max_length` tokens, and its logits are averaged."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from potstill.scoring import pretrained
from potstill.scoring.pretrained import Row

MAX_WINDOWS = 16  # of a text, where many texts are long; of 128 tokens, they cover 1,500
LONG_SHARE = 0.05  # of the texts: with fewer long ones, truncation costs less than windows
OVERLAP = 4  # a window shares this part of its tokens, a quarter, with the one before it
# A text is cut off after this many characters per token that its windows hold, several times as many as any language
# has; and so many texts are tokenized at a time, so that a few long ones do not fill the memory.
CHARACTERS, CHUNK = 20, 64


class Windows(NamedTuple):
    """The windows of some texts, in their order.

    Attributes:
        rows: the tokenizer's lists for each window.
        counts: the number of windows of each text, at least 1, int64 (texts,).
        truncated: how many texts are longer than their windows.
    """

    rows: list[Row]
    counts: np.ndarray
    truncated: int


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int, max_windows: int) -> Windows:
    """Tokenize texts into windows.

    Args:
        tokenizer: the teacher's.
        texts: the texts.
        max_length: the maximum number of tokens of a window; less where the model has fewer positions.
        max_windows: the maximum number of windows of a text; the rest of the text is truncated.
    """
    limit = min(max_length, tokenizer.model_max_length)
    room = limit - tokenizer.num_special_tokens_to_add()
    if max_windows == 1 or room < 1:
        firsts, truncated = pretrained.encode(tokenizer, texts, max_length)
        return Windows(firsts, np.ones(len(texts), np.int64), truncated)
    rows: list[Row] = []
    counts: list[int] = []
    truncated = 0
    characters = CHARACTERS * limit * max_windows
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        of_texts = _split(tokenizer, [text[:characters] for text in chunk], limit, room // OVERLAP)
        for text, found in zip(chunk, of_texts, strict=True):
            rows += found[:max_windows]
            counts.append(min(len(found), max_windows))
            truncated += len(found) > max_windows or len(text) > characters
    return Windows(rows, np.array(counts, np.int64), truncated)


def average(logits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean logits of each text, (texts, classes), from those of its windows, (windows, classes)."""
    if not len(counts):
        return logits
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    return np.add.reduceat(logits, starts) / counts[:, None].astype(logits.dtype)


def choose(tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int) -> int:
    """Return how many windows are worth their time: 1, or `MAX_WINDOWS` if many of these texts are long."""
    _, truncated = pretrained.encode(tokenizer, texts, max_length)
    return MAX_WINDOWS if truncated > LONG_SHARE * len(texts) else 1


def _split(tokenizer: PreTrainedTokenizerBase, texts: list[str], limit: int, overlap: int) -> Iterator[list[Row]]:
    """Yield the windows of each text."""
    if not tokenizer.is_fast:
        yield from (_split_in_python(tokenizer, text, limit, overlap) for text in texts)
        return
    encoded = tokenizer(texts, truncation=True, max_length=limit, stride=overlap, return_overflowing_tokens=True)
    text_of = np.array(encoded.pop("overflow_to_sample_mapping"))
    rows = pretrained.by_row(encoded)
    ends = np.bincount(text_of, minlength=len(texts)).cumsum()
    yield from (rows[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True))


def _split_in_python(tokenizer: PreTrainedTokenizerBase, text: str, limit: int, overlap: int) -> list[Row]:
    """Return the windows of a text; a tokenizer written in Python returns the first one only."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    room = limit - tokenizer.num_special_tokens_to_add()
    last = max(1, len(ids) - overlap)
    return [dict(tokenizer.prepare_for_model(ids[i : i + room])) for i in range(0, last, room - overlap)]
