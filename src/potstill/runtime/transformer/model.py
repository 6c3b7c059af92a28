"""A student that is a small Transformer, in onnxruntime."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime

from potstill.runtime.model import Classifier, pad
from potstill.runtime.onnx_graph import PAD
from potstill.runtime.tokenizer import Encoded
from potstill.runtime.transformer import file, graph
from potstill.runtime.transformer.file import Contents
from potstill.runtime.transformer.weights import BITS

# Texts scored at once, and their tokens with padding: attention takes memory in proportion to tokens times length.
BATCH, MAX_TOKENS = 32, 4096


@dataclass(frozen=True, repr=False, eq=False)
class Transformer(Classifier, Contents):
    """A small Transformer: the contents of its model file, and predictions on one thread."""

    @property
    def architecture(self) -> str:
        """Name of the network's architecture."""
        return self.shape.architecture

    @property
    def parameters(self) -> int:
        """Number of trained parameters of the network."""
        return self.weights.size

    @property
    def rows(self) -> int:
        """Number of rows of the embedding table."""
        return self.shape.vocabulary

    @property
    def max_length(self) -> int:
        """Tokens per text; the rest of a text is truncated."""
        return self.shape.positions

    @property
    def details(self) -> dict[str, Any]:
        """Its vocabulary and its weights, for `potstill inspect`."""
        shape = self.shape
        return {"tokens": shape.vocabulary, "layers": shape.layers, "hidden": shape.hidden, "bits": list(BITS)}

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Encode texts as ids: the rows of the embedding table."""
        return self.tokenizer.encode(texts)

    def knows(self, words: Iterable[str]) -> list[bool]:
        """Return whether each word, in lower case, is in the vocabulary as a whole."""
        return self.tokenizer.knows(words)

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = graph.build(self.shape, self.weights).SerializeToString()
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def logits(self, texts: Encoded) -> np.ndarray:
        """Return calibrated logits of encoded texts, float32 of shape (texts, classes)."""
        order = np.argsort(texts.lengths, kind="stable")
        scored = np.empty((len(texts), len(self.labels)), np.float32)
        start = 0
        while start < len(texts):
            chosen = order[start : start + BATCH]
            chosen = chosen[: max(1, MAX_TOKENS // texts.lengths[chosen[-1]])]
            ids, mask = pad(texts, chosen)
            ids[~mask] = PAD
            [scored[chosen]] = self._session.run(["logits"], {"ids": ids})
            start += len(chosen)
        return scored / np.float32(self.temperature)

    def to_bytes(self) -> bytes:
        """Return the bytes of the model file."""
        return file.pack(self)

    @classmethod
    def unpack(cls, data: bytes) -> "Transformer":
        """Read the bytes of a model file of this kind, see `from_bytes`."""
        return cls(**vars(file.unpack(data)))
