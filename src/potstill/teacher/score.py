"""A fine-tuned teacher's logits for many texts, fast."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from potstill import device
from potstill.teacher.pretrained import encode

# By precision, how far a text's logits may move with the texts that share its batch, whose shape decides in which order
# the processor adds up: a share of the largest logit. Measured on MiniLM and 8,000 texts: 1e-6 and 0.01.
ROUNDING = {"fp32": 1e-5, "bf16": 0.02}

# Whose classifier reads the first token alone, and whose layers are built alike.
FIRST_TOKEN = ("bert", "camembert", "roberta", "xlm-roberta")


def logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    *,
    max_length: int,
    batch_size: int,
    precision: str = "auto",
    progress: Callable[[int], object] = lambda rows: None,
    cut: Callable[[int], object] = lambda texts: None,
) -> np.ndarray:
    """Score texts in batches of similar length, so that next to nothing is computed on padding.

    The same texts give the same bytes on the same machine. Among other texts, a text's logits move by rounding, at most
    by the share of the largest logit that `ROUNDING` has for the precision.

    Args:
        model, tokenizer: the teacher.
        texts: the texts.
        max_length: tokens per text; the rest is cut off.
        batch_size: texts per batch.
        precision: `auto`, `bf16` or `fp32`, see `device.bf16`.
        progress: told the number of texts of every batch when it is done.
        cut: told how many texts were cut off.

    Returns:
        The logits, of shape (texts, classes) and type float32, in the order of the texts.
    """
    classes = int(model.config.num_labels or 0)
    if not texts:
        return np.zeros((0, classes), np.float32)
    rows, too_long = encode(tokenizer, texts, max_length)
    cut(too_long)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
    collate = DataCollatorWithPadding(tokenizer)
    model.eval().to(device.device())
    scored = np.empty((len(rows), classes), np.float32)
    with torch.inference_mode(), device.autocast(precision), _first_token(model):
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = {key: value.to(model.device) for key, value in collate([rows[i] for i in chosen]).items()}
            scored[chosen] = model(**batch).logits.float().cpu().numpy()
            progress(len(chosen))
    return scored


@contextmanager
def _first_token(model: PreTrainedModel) -> Iterator[None]:
    """What no classifier reads, the last layer does not compute: of most of it, all tokens but the first."""
    hook = None
    if model.config.model_type in FIRST_TOKEN:
        encoder: Any = model.base_model.encoder
        last = encoder.layer[-1]
        hook = last.attention.output.register_forward_pre_hook(lambda _, given: tuple(part[:, :1] for part in given))
    try:
        yield
    finally:
        if hook:
            hook.remove()
