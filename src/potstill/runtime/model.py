"""A student: what loads its file, and answers."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from potstill.errors import PotstillError
from potstill.files import whole
from potstill.runtime import file
from potstill.runtime.networks import ARCHITECTURES, Shape, Weights
from potstill.runtime.tokenizer import Encoded, Lookup

FILE = "student.pot"  # what ships, in the folder of a trained student
BATCH = 512  # texts scored at once


@dataclass(frozen=True)
class Student:
    """A small text classifier.

    Attributes:
        labels: the names of the classes.
        lookup: finds the rows of a text's words.
        shape: what the network is built from.
        weights: float32 arrays, see `networks`.
        bits: of the numbers of the table of word vectors and of the others in the file: 2 to 8, or 32 for floats.
        steps: by the name of the weights, what their whole numbers are multiples of; empty for floats.
    """

    labels: list[str]
    lookup: Lookup
    shape: Shape
    weights: Weights
    bits: tuple[int, int]
    steps: dict[str, float]

    @property
    def classes_(self) -> np.ndarray:
        """The names of the classes, in the order of the columns of `predict_proba`."""
        return np.array(self.labels)

    @property
    def parameters(self) -> int:
        """How many trained numbers the network holds."""
        return sum(weight.size for weight in self.weights.values())

    def predict(self, texts: Iterable[str]) -> np.ndarray:
        """The name of each text's most probable class, an array of shape (texts,)."""
        return self.classes_[self.predict_proba(texts).argmax(1)]

    def predict_proba(self, texts: Iterable[str]) -> np.ndarray:
        """Probabilities, float32 of shape (texts, classes), in the order of `classes_`."""
        logits = self.logits(self.lookup.encode(texts))
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return odds / odds.sum(1, keepdims=True)

    def logits(self, texts: Encoded) -> np.ndarray:
        """Score texts whose words are looked up: float32 of shape (texts, classes), in their order."""
        forward = ARCHITECTURES[self.shape.architecture].forward
        order = np.argsort(-texts.lengths, kind="stable")
        scored = np.empty((len(texts), len(self.labels)), np.float32)
        for start in range(0, len(texts), BATCH):
            chosen = order[start : start + BATCH]
            scored[chosen] = forward(self.weights, *pad(texts, chosen))
        return scored

    def to_bytes(self) -> bytes:
        """The contents of the student's file."""
        return file.pack(**{field.name: getattr(self, field.name) for field in fields(self)})

    def save(self, path: Path) -> None:
        """Write the student's file."""
        with whole(path) as part:
            part.write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a student's file.

        Raises:
            PotstillError: the file is missing, damaged, or no student's.
        """
        try:
            return cls(**file.unpack(Path(path).read_bytes()))
        except FileNotFoundError:
            raise PotstillError(f"{path} is missing: run `dvc repro` (or `dvc pull`) to make it") from None
        except (OSError, ValueError) as error:
            raise PotstillError(f"{path} cannot be loaded: {error}") from None


def pad(texts: Encoded, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids and the mask, both (len(chosen), longest), of some of the texts."""
    lengths = texts.lengths[chosen]
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = texts.ids[(texts.starts[chosen][:, None] + np.arange(lengths.max()))[mask]]
    return ids, mask
