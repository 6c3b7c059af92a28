"""Tokens of small Transformers."""

import numpy as np
import pytest

from potstill.runtime.transformer.tokenizer import Tokenizer
from tests.students import ODD
from tests.transformers import SPEC, TOKENS

TOKENIZER = Tokenizer(SPEC, 1, 2, 6)


def tokens(texts, tokenizer=TOKENIZER):
    encoded = tokenizer.encode(texts)
    return [
        " ".join(TOKENS[id_] for id_ in encoded.ids[start:end])
        for start, end in zip(encoded.starts[:-1], encoded.starts[1:], strict=True)
    ]


def test_texts_begin_and_end_with_their_tokens_and_are_truncated():
    assert tokens(["Good ab?", "", "good " * 100, "xyz"]) == [
        "[CLS] good a ##b ? [SEP]",
        "[CLS] [SEP]",
        "[CLS] good good good good [SEP]",
        "[CLS] [UNK] [SEP]",
    ]


def test_any_text_has_ids_of_rows():
    encoded = TOKENIZER.encode(ODD * 100)  # more than are tokenized at once
    assert len(encoded) == len(ODD) * 100
    assert encoded.ids.max() < len(TOKENS)
    assert encoded.lengths.min() >= 2
    np.testing.assert_array_equal(encoded.ids[: encoded.starts[len(ODD)]], TOKENIZER.encode(iter(ODD)).ids)


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": None, "pre_tokenizer": None},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}},
        {"normalizer": {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}},
    ],
)
def test_parts_of_common_tokenizers_are_accepted(parts):
    Tokenizer({**SPEC, **parts}, 1, 2, 6).check(len(TOKENS))
