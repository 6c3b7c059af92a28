import pytest
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast

from potstill.core.errors import PotstillError
from potstill.pool import vocabulary
from tests.tasks import make_checkpoint


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_words_of_a_teacher_are_whole(kind, data, tmp_path):
    texts = [text.rsplit(" ", 1)[0] for text in data.train["text"]]  # without the number
    words = vocabulary.words(str(make_checkpoint(kind, tmp_path / kind, texts)))
    assert {"feel", "today"} <= set(words)
    assert words == sorted(set(words))
    assert all(word.isalpha() and word == word.lower() and len(word) > 2 for word in words)
    known = {word for text in texts for word in text.split()}
    assert all(any(other.startswith(word) for other in known) for word in words)  # none is the end of a word


def test_of_sentencepiece_the_pieces_that_begin_a_word_are_taken(tmp_path):
    pieces = ["<unk>", "▁feel", "▁Today", "ing", "▁", "▁42", "▁so", "ness"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(Unigram([(piece, -1.0) for piece in pieces], 0)))
    tokenizer.save_pretrained(tmp_path)
    assert vocabulary.words(str(tmp_path)) == ["feel", "today"]


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PotstillError, match="tokenizer"):
        vocabulary.words(str(tmp_path))
