"""From texts to token ids, with the library `tokenizers`; used in training and inference alike.

The library would build a tokenizer of any JSON, also one whose regular expressions take hours or whose replacements
fill the memory. So only known parts are accepted, and none that holds a regular expression or a binary table.
"""

import json
import math
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import tokenizers

from potstill.runtime.tokenizer import Encoded
from potstill.runtime.transformer.shape import MAX_VOCABULARY

MAX_PARTS = 16  # of a sequence
MAX_ADDED = 64  # tokens that are found in the text before it is split
MAX_TOKEN = 256  # characters
MAX_WORD = 1000  # characters of a word that WordPiece splits, in quadratic time
MAX_CHARACTERS = 100  # of a text that are read, per token of the maximal length
_CHUNK = 1024  # texts tokenized at once
_SPACES = {"Regex": " {2,}"}  # the only regular expression: XLM-RoBERTa's

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of a small Transformer.

    Attributes:
        spec: `normalizer`, `pre_tokenizer`, `model` and `added_tokens` as in a tokenizer.json.
        cls, sep: the ids that begin and end each text.
        max_length: tokens per text, with these two; the rest of a text is truncated.
    """

    spec: Mapping[str, Any]
    cls: int
    sep: int
    max_length: int

    def __repr__(self) -> str:
        return f"Tokenizer({self.spec['model']['type']}, {self.size:,} tokens, max_length={self.max_length})"

    @cached_property
    def _library(self) -> tokenizers.Tokenizer:
        found = tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", **self.spec}))
        found.enable_truncation(self.max_length - 2)
        return found

    @property
    def size(self) -> int:
        """Number of tokens."""
        return self._library.get_vocab_size()

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Encode texts as token ids."""
        # Otherwise a text of megabytes, of which most would be truncated, would take seconds.
        cut = (text[: MAX_CHARACTERS * self.max_length] for text in texts)
        waiting = (text if text.isascii() else text.encode("utf-8", "replace").decode() for text in cut)
        ids, starts = bytearray(), array("q", [0])
        dtype = np.min_scalar_type(self.size)
        while chunk := list(islice(waiting, _CHUNK)):
            for encoding in self._library.encode_batch_fast(chunk, add_special_tokens=False):
                found = [self.cls, *encoding.ids, self.sep]
                ids += array(dtype.char, found).tobytes()
                starts.append(starts[-1] + len(found))
        return Encoded(np.frombuffer(ids, dtype), np.frombuffer(starts, np.int64))

    def knows(self, words: Iterable[str]) -> list[bool]:
        """Return whether each word is one token, and not the unknown one."""
        model = self.spec["model"]
        unknown = model["unk_id"] if "unk_id" in model else self._library.token_to_id(model["unk_token"] or "")
        chunk = [word[: MAX_TOKEN + 1] for word in words]  # no token is longer
        found = self._library.encode_batch_fast(chunk, add_special_tokens=False)
        return [len(encoding.ids) == 1 and encoding.ids[0] != unknown for encoding in found]

    def check(self, size: int) -> None:
        """Check a tokenizer from a file, with so many rows in the embedding table.

        Raises:
            ValueError: it has other parts than those below, or its tokens are not those of the rows.
        """
        fault = ValueError("its tokenizer is not supported")
        if not _is_object(_SPEC)(self.spec):
            raise fault
        try:
            ids = self._library.get_vocab(with_added_tokens=True).values()
            self.encode(["A text, 1 ☃"])
        except Exception:  # the library raises `Exception` itself
            raise fault from None
        if sorted(ids) != list(range(size)) or not 0 <= self.cls < size or not 0 <= self.sep < size:
            raise ValueError("its tokens are not the rows of its embedding table")


def _is_object(keys: Mapping[str, Check], optional: tuple[str, ...] = ()) -> Check:
    """Check that a value is an object with these keys, each of which is checked."""

    def check(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and value.keys() <= keys.keys()
            and all(name in value or name in optional for name in keys)
            and all(keys[name](item) for name, item in value.items())
        )

    return check


def _is_one_of(kinds: Mapping[str, Mapping[str, Check]], sequence: str | None = None) -> Check:
    """Check that a value is a part of one of these kinds; with `sequence`, also a list of them under that key."""
    checks = {kind: _is_object({"type": _is(str), **keys}) for kind, keys in kinds.items()}

    def single(value: Any) -> bool:
        kind = value.get("type") if isinstance(value, dict) else None
        return isinstance(kind, str) and kind in checks and checks[kind](value)

    def check(value: Any) -> bool:
        if sequence and isinstance(value, dict) and value.get("type") == "Sequence":
            parts = value.get(sequence)
            return len(value) == 2 and isinstance(parts, list) and len(parts) <= MAX_PARTS and all(map(single, parts))
        return single(value) or (sequence is not None and value is None)

    return check


def _is(*kinds: Any) -> Check:
    """Check that a value is of one of these types, or equal to one of these strings."""

    def check(value: Any) -> bool:
        return any(value is None if kind is None else type(value) is kind or value == kind for kind in kinds)

    return check


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TOKEN


def _is_count(most: int) -> Check:
    return lambda value: type(value) is int and 0 <= value <= most


def _is_list(of: Check, most: int) -> Check:
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(of, value))


def _is_vocabulary(value: Any) -> bool:
    is_id = _is_count(MAX_VOCABULARY)
    return isinstance(value, dict) and all(_is_token(token) and is_id(id_) for token, id_ in value.items())


def _is_scored(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and _is_token(value[0])
        and type(value[1]) in (int, float)
        and math.isfinite(value[1])
    )


def _is_merge(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_token, value))


def _is_short_replacement(value: Any) -> bool:
    """Check a `Replace`, which must not lengthen a text."""
    pattern, content = value.get("pattern"), value.get("content")
    if not _is_token(content):
        return False
    if pattern == _SPACES:
        return len(content) <= 1
    found = pattern.get("String") if isinstance(pattern, dict) and len(pattern) == 1 else None
    return isinstance(found, str) and len(content) <= len(found) <= MAX_TOKEN and found != ""


_FLAG = _is(bool)
_NORMALIZERS: dict[str, dict[str, Check]] = {
    "BertNormalizer": {
        "clean_text": _FLAG,
        "handle_chinese_chars": _FLAG,
        "strip_accents": _is(bool, None),
        "lowercase": _FLAG,
    },
    **{name: {} for name in ("Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents")},
    "Strip": {"strip_left": _FLAG, "strip_right": _FLAG},
    "Replace": {"pattern": _is(dict), "content": _is_token},
}
_PRE_TOKENIZERS: dict[str, dict[str, Check]] = {
    **{name: {} for name in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")},
    "Digits": {"individual_digits": _FLAG},
    "ByteLevel": {"add_prefix_space": _FLAG, "trim_offsets": _FLAG, "use_regex": _FLAG},
    "Metaspace": {
        "replacement": lambda value: _is_token(value) and len(value) == 1,
        "prepend_scheme": _is("first", "never", "always"),
        "split": _FLAG,
    },
}
_MODELS: dict[str, dict[str, Check]] = {
    "WordPiece": {
        "unk_token": _is_token,
        "continuing_subword_prefix": _is_token,
        "max_input_chars_per_word": _is_count(MAX_WORD),
        "vocab": _is_vocabulary,
    },
    "BPE": {
        "dropout": _is(None),
        "unk_token": lambda value: value is None or _is_token(value),
        "continuing_subword_prefix": lambda value: value is None or _is_token(value),
        "end_of_word_suffix": lambda value: value is None or _is_token(value),
        "fuse_unk": _FLAG,
        "byte_fallback": _FLAG,
        "ignore_merges": _FLAG,
        "vocab": _is_vocabulary,
        "merges": _is_list(_is_merge, MAX_VOCABULARY),
    },
    "Unigram": {
        "unk_id": _is_count(MAX_VOCABULARY),
        "byte_fallback": _FLAG,
        "vocab": _is_list(_is_scored, MAX_VOCABULARY),
    },
}
_ADDED = {
    "id": _is_count(MAX_VOCABULARY),
    "content": lambda value: _is_token(value) and bool(value),
    **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), _FLAG),
}
_is_normalizer = _is_one_of(_NORMALIZERS, "normalizers")


def _is_safe_normalizer(value: Any) -> bool:
    parts = value["normalizers"] if _is_normalizer(value) and value and value["type"] == "Sequence" else [value]
    return _is_normalizer(value) and all(
        _is_short_replacement(part) for part in parts if part and part["type"] == "Replace"
    )


_SPEC: dict[str, Check] = {
    "normalizer": _is_safe_normalizer,
    "pre_tokenizer": _is_one_of(_PRE_TOKENIZERS, "pretokenizers"),
    "model": _is_one_of(_MODELS),
    "added_tokens": _is_list(_is_object(_ADDED), MAX_ADDED),
}
