"""Untrained students that are small Transformers."""

import dataclasses

import numpy as np

from potstill.runtime.transformer.model import Transformer
from potstill.runtime.transformer.shape import Shape
from potstill.runtime.transformer.tokenizer import Tokenizer
from potstill.runtime.transformer.weights import Weights

TOKENS = ["[UNK]", "[CLS]", "[SEP]", "!", "?", "a", "b", "##a", "##b", "good", "not", "##ness", "é", "日"]
SPEC = {
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {token: id_ for id_, token in enumerate(TOKENS)},
    },
    "added_tokens": [
        {
            "id": id_,
            "content": TOKENS[id_],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for id_ in (1, 2)
    ],
}
SHAPE = Shape(len(TOKENS), 9, 8, 8, 16, 2, 2, "gelu", "tanh", 1e-12)


def transformer(shape=SHAPE, labels=("a", "b", "ç"), **more):
    """A small Transformer with random weights."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=size).astype(np.float32) for name, size in shape.weights(len(labels)).items()}
    weights |= {name: 1 + abs(array) for name, array in weights.items() if name.endswith(".smoothing")}
    ranges = dict.fromkeys(shape.inputs(), (-4.0, 4.0))
    tokenizer = Tokenizer(SPEC, 1, 2, shape.positions)
    return Transformer(list(labels), tokenizer, shape, Weights.round(weights, ranges), **more)


def multi_label_transformer():
    return dataclasses.replace(transformer(), thresholds=[0.25, 0.5, 0.75])
