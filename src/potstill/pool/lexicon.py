"""The words that a teacher knew before it saw any of the texts at hand."""

from potstill.errors import PotstillError, exhausted, first_line


def words(checkpoint: str) -> list[str]:
    """The whole words of a checkpoint's tokenizer, lower-cased, sorted.

    Pieces that only continue a word, signs, numbers and words of one or two letters are left out.

    Args:
        checkpoint: a folder that `transformers` can load a tokenizer from.

    Raises:
        PotstillError: its tokenizer cannot be loaded.
    """
    # Imported late: it costs seconds, and not every pool borrows words.
    from potstill.teacher.pretrained import load_tokenizer

    try:
        pieces = list(load_tokenizer(checkpoint).get_vocab())
    except Exception as error:
        if exhausted(error):
            raise
        raise PotstillError(
            f"the tokenizer of {checkpoint} cannot be loaded: {first_line(error)}; if it is damaged, get it again"
        ) from None
    # SentencePiece and byte-level BPE mark the beginning of a word, WordPiece what is not one.
    for mark in ("▁", "Ġ"):
        if sum(piece.startswith(mark) for piece in pieces) > len(pieces) / 10:
            pieces = [piece.removeprefix(mark) for piece in pieces if piece.startswith(mark)]
            break
    return sorted({piece.lower() for piece in pieces if piece.isalpha() and len(piece) > 2})
