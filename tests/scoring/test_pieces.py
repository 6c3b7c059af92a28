"""Words and pieces of tokenizers of all kinds."""

import pytest
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE, Unigram, WordPiece
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from potstill.runtime import tokenizer as student_tokenizer
from potstill.scoring.pieces import pieces
from tests.tasks import CHECKPOINTS, make_checkpoint


def fast(model, decoder=None):
    made = Tokenizer(model)
    if decoder:
        made.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")


def numbered(*tokens):
    return {token: i for i, token in enumerate(tokens)}


def test_of_wordpiece_the_mark_says_what_continues_a_word():
    tokens = numbered("<unk>", "feel", "##ing", "Today", "##s", "!", "##!", "today", "##", "[unused1]", "日", "##本")
    assert pieces(fast(WordPiece(tokens, unk_token="<unk>"))) == {
        "feel": 1,
        "##ing": 2,
        "today": 3,  # the first of its spellings, which is the most frequent
        "##s": 4,
        "!": 5,
        "##!": 6,
        "日": 10,
        "##本": 11,
    }


def test_of_sentencepiece_the_mark_says_what_begins_a_word():
    tokens = ["<unk>", "▁feel", "▁Today", "ing", "▁", "▁42", "s", "!"]
    found = pieces(fast(Unigram([(token, -1.0) for token in tokens], 0), decoders.Metaspace()))
    assert found == {"feel": 1, "today": 2, "##ing": 3, "42": 5, "##s": 6, "##!": 7}


def test_of_byte_level_bpe_the_mark_says_what_begins_a_word_and_bytes_are_decoded():
    tokens = numbered("<unk>", "Ġfeel", "ing", "Ġ", "ĠcafÃ©", "Ã©s", "Ã", "Ċ", "Ġa", "Ġb", "!")
    made = fast(BPE(tokens, []), decoders.ByteLevel())
    assert pieces(made) == {"feel": 1, "##ing": 2, "café": 4, "##és": 5, "a": 8, "b": 9, "##!": 10}


def test_special_tokens_are_left_out():
    made = fast(WordPiece(numbered("<unk>", "feel", "mask"), unk_token="<unk>"))
    made.add_special_tokens({"mask_token": "mask"})
    assert pieces(made) == {"feel": 1}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_every_piece_is_one_word_of_a_student(kind, data, tmp_path):
    texts = data.train["text"].tolist()
    made = AutoTokenizer.from_pretrained(make_checkpoint(kind, tmp_path, texts))
    found = pieces(made)
    assert any(piece.startswith("##") for piece in found)
    assert any(not piece.startswith("##") for piece in found)
    for piece in found:
        text = piece.removeprefix("##") or piece
        assert student_tokenizer.words(text) == [text]
    assert list(found.values()) == sorted(found.values())
    assert not set(found.values()) & set(made.all_special_ids)
