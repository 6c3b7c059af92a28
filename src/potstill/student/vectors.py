"""Word vectors from a fine-tuned teacher, for words that a student's own texts hold seldom or never."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from potstill.scoring.pieces import pieces

_BATCH = 256
_MAX_TOKENS = 32  # of a word


class TeacherVectors:
    """Vectors of words and pieces, from the teacher's input embeddings and its last layer.

    Attributes:
        pieces: token ids by words and pieces of the teacher's tokenizer, see `scoring.pieces.pieces`.
    """

    def __init__(self, network: Any, tokenizer: Any) -> None:
        """Take a teacher as `pretrained.load` returns it."""
        self._network, self._tokenizer = network.eval(), tokenizer
        self.pieces = pieces(tokenizer)

    @torch.inference_mode()
    def embed(self, entries: Sequence[str]) -> np.ndarray:
        """Return the vectors of words and pieces, float32 (entries, 2 × width of the teacher).

        The first half is the mean of the input embeddings of an entry's tokens. The second is the mean of their states
        in the last layer, with the entry alone as the text: a static vector distilled from a contextual model, as in
        Model2Vec and Bommasani et al. 2020. Both are centred and have the same mean square.
        """
        prefix, suffix = self._special_tokens()
        ids = [self._ids(entry) for entry in entries]
        inputs = self._network.get_input_embeddings()
        encoder = self._network.get_encoder() if self._network.config.is_encoder_decoder else self._network.base_model
        halves: list[list[np.ndarray]] = [[], []]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(order), _BATCH):
            batch = [ids[i] for i in order[start : start + _BATCH]]
            longest = max(map(len, batch))
            rows = [prefix + one + suffix + [0] * (longest - len(one)) for one in batch]
            tokens = torch.tensor(rows, device=self._network.device)
            lengths = torch.tensor([len(one) for one in batch], device=self._network.device)
            position = torch.arange(tokens.shape[1], device=self._network.device)
            there = position < lengths[:, None] + len(prefix) + len(suffix)
            own = ((position >= len(prefix)) & (position < lengths[:, None] + len(prefix))).unsqueeze(-1)
            last = encoder(input_ids=tokens, attention_mask=there.long()).last_hidden_state
            for half, states in zip(halves, (inputs(tokens), last), strict=True):
                half.append(((states * own).sum(1) / own.sum(1)).float().cpu().numpy())
        vectors = np.empty((len(ids), 2 * halves[0][0].shape[1]), np.float32)
        vectors[order] = np.concatenate([_standardized(np.concatenate(half)) for half in halves], axis=1)
        return vectors

    def _ids(self, entry: str) -> list[int]:
        if entry in self.pieces:  # byte-level BPE would encode a word alone as one that continues another
            return [self.pieces[entry]]
        ids = self._tokenizer(entry, add_special_tokens=False)["input_ids"][:_MAX_TOKENS]
        return ids or [self._tokenizer.unk_token_id or 0]

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """Return the special tokens that the tokenizer puts before and after a text."""
        encoded = self._tokenizer("a", return_special_tokens_mask=True)
        ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
        first, last = special.index(0), len(special) - special[::-1].index(0)
        return ids[:first], ids[last:]


def _standardized(vectors: np.ndarray) -> np.ndarray:
    centred = vectors - vectors.mean(0)
    return centred / (np.sqrt(np.square(centred).mean()) or 1.0)


def reduce(vectors: np.ndarray, occurrences: np.ndarray, width: int) -> np.ndarray:
    """Reduce vectors to `width` numbers by principal component analysis.

    Args:
        vectors: float32 (entries, any width).
        occurrences: how often each entry occurs in the texts, (entries,); its square root weights the components.
        width: numbers per entry; those beyond the width of the vectors are zero.

    Returns:
        The embedding table, float32 (1 + entries, width), with zeros for the unknown word in row 0.
    """
    weights = np.sqrt(1.0 + occurrences)[:, None]
    centred = vectors - (vectors * weights).sum(0) / weights.sum()
    _, components = np.linalg.eigh((centred * weights).T @ centred / weights.sum())
    reduced = centred @ components[:, ::-1][:, :width]
    table = np.zeros((1 + len(vectors), width), np.float32)
    table[1:, : reduced.shape[1]] = reduced / (np.sqrt(np.square(reduced).mean()) or 1.0)
    return table
