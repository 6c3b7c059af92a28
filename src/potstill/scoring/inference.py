"""Fast inference with a fine-tuned teacher."""

from typing import NamedTuple

import numpy as np
import torch
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from potstill.core import device
from potstill.scoring import windows
from potstill.scoring.compiled import CompiledNetwork
from potstill.scoring.first_token import first_token_only

# By precision, the largest difference between a text's logits in one batch and in another, as a share of the largest
# absolute logit: a batch's shape decides the order of floating-point additions. On MiniLM with 8,000 texts it was 1e-6
# and 0.01.
ROUNDING = {"fp32": 1e-5, "bf16": 0.02}


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
    compiled: CompiledNetwork | None = None,
    max_windows: int = 1,
) -> Scored:
    """Return the logits of texts, in their order.

    Batches hold texts of similar length, so that little is computed on padding. The same texts give the same bytes on
    the same machine. With other texts in its batch, a text's logits differ by rounding, at most by `ROUNDING`.

    Args:
        model, tokenizer: the teacher.
        texts: the texts.
        max_length: the maximum number of tokens per window.
        batch_size: windows per batch.
        precision: `auto`, `bf16` or `fp32`, see `device.bf16`.
        compiled: the same network as OpenVINO runs it, in its own precision; None for torch.
        max_windows: the maximum number of windows per text, see `windows.encode`; longer texts are truncated.
    """
    classes = int(model.config.num_labels or 0)
    if not texts:
        return Scored(np.zeros((0, classes), np.float32), 0)
    rows, counts, truncated = windows.encode(tokenizer, texts, max_length, max_windows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
    collate = DataCollatorWithPadding(tokenizer)
    batches = (order[start : start + batch_size] for start in range(0, len(order), batch_size))
    padded = ((chosen, collate([rows[i] for i in chosen])) for chosen in batches)
    logits = np.empty((len(rows), classes), np.float32)
    if compiled:
        compiled.fill(logits, padded)
    else:
        model.eval().to(device.device())
        with torch.inference_mode(), device.autocast(precision), first_token_only(model):
            for chosen, batch in padded:
                given = {key: value.to(model.device) for key, value in batch.items()}
                logits[chosen] = model(**given).logits.float().cpu().numpy()
    return Scored(windows.average(logits, counts), truncated)
