"""Leaving out what a classification head that reads only the first token does not need."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

# By model type with such a head: the module of a layer's attention from which on positions are computed separately.
FIRST_TOKEN = {
    "bert": "output",
    "camembert": "output",
    "mpnet": "LayerNorm",
    "roberta": "output",
    "xlm-roberta": "output",
}


@contextmanager
def first_token_only(model: PreTrainedModel) -> Iterator[None]:
    """Compute most of the last layer for the first token only, where the head reads no other."""
    if model.config.model_type not in FIRST_TOKEN:
        yield
        return
    encoder: Any = model.base_model.encoder
    module = getattr(encoder.layer[-1].attention, FIRST_TOKEN[model.config.model_type])
    with module.register_forward_pre_hook(lambda _, inputs: tuple(part[:, :1] for part in inputs)):
        yield
