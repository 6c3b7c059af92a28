"""Embeddings of texts by a sentence-embedding checkpoint, such as all-MiniLM-L6-v2."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, DataCollatorWithPadding

from potstill.core import device, files
from potstill.core.errors import PotstillError
from potstill.scoring.pretrained import encode, load_as

# Where sentence-transformers keeps how the vectors of a text's tokens become one.
POOLING = Path("1_Pooling", "config.json")


class Embedder:
    """A sentence-embedding checkpoint, whose vectors of tokens are averaged.

    Args:
        source: the folder of the checkpoint.
        max_length: the maximum number of tokens per text.
        batch_size: texts per batch.
        precision: `auto`, `bf16` or `fp32`.

    Raises:
        PotstillError: it is not a sentence-embedding checkpoint, or its vectors are not averaged, or it cannot be loaded.
    """

    def __init__(self, source: str, max_length: int, batch_size: int, precision: str) -> None:
        path = Path(source) / POOLING
        if not path.is_file() or files.read_json(path).get("pooling_mode_mean_tokens") is not True:
            raise PotstillError(
                f"{source}: not a checkpoint that averages its tokens to an embedding of the sentence (no {POOLING} "
                "that says so), so texts cannot be compared with the names of labels. Take minilm, an LLM or a table "
                "as the teacher."
            )
        self._model, self._tokenizer = load_as(AutoModel, "a text encoder", source, seed=0)
        self._max_length, self._batch_size, self._precision = max_length, batch_size, precision

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Return the embeddings of texts, float32 (texts, width), each of length one."""
        rows, _ = encode(self._tokenizer, texts, self._max_length)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
        collate = DataCollatorWithPadding(self._tokenizer)
        model: Any = self._model.eval().to(device.device())
        found = np.empty((len(rows), model.config.hidden_size), np.float32)
        with torch.inference_mode(), device.autocast(self._precision):
            for start in range(0, len(order), self._batch_size):
                chosen = order[start : start + self._batch_size]
                batch = {key: value.to(model.device) for key, value in collate([rows[i] for i in chosen]).items()}
                states, mask = model(**batch).last_hidden_state.float(), batch["attention_mask"][..., None].float()
                mean = (states * mask).sum(1) / mask.sum(1)
                found[chosen] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return found
