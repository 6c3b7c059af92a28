"""The vocabulary of a pre-trained teacher."""

from potstill.core.errors import PotstillError, exhausted, first_line
from potstill.scoring.pieces import word_mark


def words(checkpoint: str) -> list[str]:
    """Return the whole words in the vocabulary of a checkpoint's tokenizer, lower-cased and sorted.

    Tokens that continue a word, punctuation, numbers and words of one or two letters are left out.

    Args:
        checkpoint: a folder from which `transformers` can load a tokenizer.

    Raises:
        PotstillError: the tokenizer cannot be loaded.
    """
    # Imported late: it takes seconds, and not every transfer set borrows words.
    from potstill.scoring.pretrained import load_tokenizer

    try:
        tokens = list(load_tokenizer(checkpoint).get_vocab())
    except Exception as error:
        if exhausted(error):
            raise
        raise PotstillError(
            f"{checkpoint}: its tokenizer cannot be loaded ({first_line(error)}). If it is damaged, download it again."
        ) from None
    if mark := word_mark(tokens):
        tokens = [token.removeprefix(mark) for token in tokens if token.startswith(mark)]
    return sorted({token.lower() for token in tokens if token.isalpha() and len(token) > 2})
