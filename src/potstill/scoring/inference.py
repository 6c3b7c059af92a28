"""Fast inference with a fine-tuned teacher."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from potstill.core import device
from potstill.scoring.pretrained import encode

# By precision, the largest difference between a text's logits in one batch and in another, as a share of the largest
# absolute logit: a batch's shape decides the order of floating-point additions. On MiniLM with 8,000 texts it was 1e-6
# and 0.01.
ROUNDING = {"fp32": 1e-5, "bf16": 0.02}

# Model types whose classification head reads only the first token, and whose layers have the same structure.
FIRST_TOKEN = ("bert", "camembert", "roberta", "xlm-roberta")


class Scored(NamedTuple):
    """A teacher's logits, float32 of shape (texts, classes), and how many of the texts were truncated."""

    logits: np.ndarray
    truncated: int


def score(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    max_length: int,
    batch_size: int,
    precision: str = "auto",
) -> Scored:
    """Return the logits of texts, in their order.

    Batches hold texts of similar length, so that little is computed on padding. The same texts give the same bytes on
    the same machine. With other texts in its batch, a text's logits differ by rounding, at most by `ROUNDING`.

    Args:
        model, tokenizer: the teacher.
        texts: the texts.
        max_length: the maximum number of tokens per text; longer texts are truncated.
        batch_size: texts per batch.
        precision: `auto`, `bf16` or `fp32`, see `device.bf16`.
    """
    classes = int(model.config.num_labels or 0)
    if not texts:
        return Scored(np.zeros((0, classes), np.float32), 0)
    rows, truncated = encode(tokenizer, texts, max_length)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
    collate = DataCollatorWithPadding(tokenizer)
    model.eval().to(device.device())
    logits = np.empty((len(rows), classes), np.float32)
    with torch.inference_mode(), device.autocast(precision), _first_token_only(model):
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = {key: value.to(model.device) for key, value in collate([rows[i] for i in chosen]).items()}
            logits[chosen] = model(**batch).logits.float().cpu().numpy()
    return Scored(logits, truncated)


@contextmanager
def _first_token_only(model: PreTrainedModel) -> Iterator[None]:
    """Compute most of the last layer for the first token only, where the head reads no other."""
    if model.config.model_type not in FIRST_TOKEN:
        yield
        return
    encoder: Any = model.base_model.encoder
    output = encoder.layer[-1].attention.output
    with output.register_forward_pre_hook(lambda _, inputs: tuple(part[:, :1] for part in inputs)):
        yield
