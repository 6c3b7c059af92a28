"""The vocabulary of a pre-trained tokenizer, as words and continuation pieces."""

from collections.abc import Collection
from typing import Any

from potstill.runtime.tokenizer import CONTINUATION, words

_REPLACEMENT = "\ufffd"  # what part of a character's bytes is decoded as


def word_mark(tokens: Collection[str]) -> str | None:
    """Return the mark of the tokens that begin a word; None in WordPiece, which marks those that do not."""
    for mark in ("▁", "Ġ"):  # SentencePiece, byte-level BPE
        if sum(token.startswith(mark) for token in tokens) > len(tokens) / 10:
            return mark
    return None


def pieces(tokenizer: Any) -> dict[str, int]:
    """Return the token ids of the words and pieces of a tokenizer's vocabulary that occur in a student's words.

    Args:
        tokenizer: a tokenizer of `transformers`: WordPiece, SentencePiece or byte-level BPE.

    Returns:
        Ids by lower-cased strings; a piece that continues a word begins with `CONTINUATION`. In ascending order of the
        ids, which most tokenizers number by frequency.
    """
    vocabulary = tokenizer.get_vocab()
    mark = word_mark(vocabulary)
    found: dict[str, int] = {}
    for token, number in sorted(vocabulary.items(), key=lambda item: item[1]):
        if number in tokenizer.all_special_ids:
            continue
        if mark:
            is_word = token.startswith(mark)
            text = tokenizer.convert_tokens_to_string([token]).strip()
        else:
            is_word = not token.startswith(CONTINUATION)  # the mark of WordPiece too
            text = token.removeprefix(CONTINUATION)
        if words(text) == [text.lower()] and _REPLACEMENT not in text:
            found.setdefault(("" if is_word else CONTINUATION) + text.lower(), number)
    return found
