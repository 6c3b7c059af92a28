"""A student: what loads its file, and answers."""

from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Self

import numpy as np

from potstill.errors import PotstillError
from potstill.files import whole
from potstill.runtime import fast, file
from potstill.runtime.decision import choose, probabilities
from potstill.runtime.facts import listed
from potstill.runtime.fast import Output
from potstill.runtime.networks import ARCHITECTURES, Shape, Weights
from potstill.runtime.tokenizer import Encoded, Lookup, Words

FILE = "student.pot"  # in the folder of a trained student, and in that of an exported one
# Besides, in the former: the words that it knows, which a file with fingerprints does not tell, and what its weights
# were before they were rounded, which says what rounding costs.
WORDS, UNROUNDED = "words.json", "unrounded.safetensors"
BATCH = 512  # texts scored at once without the kernel


@dataclass(frozen=True)
class Student:
    """A small text classifier.

    Texts are given as a list, a numpy array, a pandas Series, or anything that Arrow can read (its arrays, a Polars
    Series); one string is one text. What is no string raises a TypeError that names its place.

    Attributes:
        labels: the names of the classes.
        lookup: finds the rows of a text's words.
        shape: what the network is built from.
        weights: float32 arrays, see `networks`.
        bits: of the numbers of the table of word vectors and of the others in the file: 2 to 8, or 32 for floats.
        steps: by the name of the weights, what their whole numbers are multiples of; empty for floats.
        temperature: what logits are divided by, so that probabilities are as sure as they may be.
        thresholds: where a text may have several labels, or none: the probability from which on it has each of them.
            None where it has one label.
        facts: what there is to know besides: `version`, `params`, `rows`, `sha256`, `metrics` and `teachers` (see
            `export.facts`), and with fingerprints `words`; as the module `facts` describes them.
    """

    labels: list[str]
    lookup: Lookup
    shape: Shape
    weights: Weights
    bits: tuple[int, int]
    steps: dict[str, float]
    temperature: float = 1.0
    thresholds: list[float] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def classes_(self) -> np.ndarray:
        """The names of the classes, in the order of the columns of `predict_proba`."""
        return np.array(self.labels)

    @property
    def parameters(self) -> int:
        """How many trained numbers the network holds."""
        return sum(weight.size for weight in self.weights.values())

    @property
    def words(self) -> list[str] | None:
        """The entries of the vocabulary in the order of their rows, if the file names them."""
        if isinstance(self.lookup.known, Words):
            return list(self.lookup.known.entries)
        return listed(self.facts["words"]) if "words" in self.facts else None

    def predict(self, texts: Any) -> np.ndarray:
        """The name of each text's most probable class, an array of shape (texts,).

        Where a text may have several labels, it is an array of tuples of names, in the order of `classes_`: of those
        whose probability reaches its threshold, which may be none.
        """
        if self.thresholds is None:
            return self.classes_[self._score(texts, Output.CLASSES)]
        chosen = choose(self.predict_proba(texts), self.thresholds)
        found = np.empty(len(chosen), object)
        found[:] = [tuple(self.labels[i] for i in np.flatnonzero(row)) for row in chosen]
        return found

    def predict_proba(self, texts: Any) -> np.ndarray:
        """Probabilities, float32 of shape (texts, classes), in the order of `classes_`.

        Where a text may have several labels, each is that of the label for itself.
        """
        if self.thresholds is None:
            return self._score(texts, Output.PROBABILITIES)
        return probabilities(self._score(texts, Output.LOGITS), several=True)

    def decision_function(self, texts: Any) -> np.ndarray:
        """Calibrated logits, float32 of shape (texts, classes): `predict_proba` before the softmax, or the sigmoid."""
        return self._score(texts, Output.LOGITS)

    def logits(self, texts: Encoded) -> np.ndarray:
        """The portable path: score texts whose words are looked up, float32 of shape (texts, classes)."""
        forward = ARCHITECTURES[self.shape.architecture].forward
        order = np.argsort(-texts.lengths, kind="stable")
        scored = np.empty((len(texts), len(self.labels)), np.float32)
        for start in range(0, len(texts), BATCH):
            chosen = order[start : start + BATCH]
            scored[chosen] = forward(self.weights, *pad(texts, chosen))
        return scored / np.float32(self.temperature)

    @cached_property
    def _kernel(self) -> fast.Score | None:
        return fast.scorer(self.lookup, self.shape, self.weights, self.temperature)

    def _score(self, texts: Any, output: Output) -> np.ndarray:
        if self._kernel:
            return self._kernel(texts if _is_arrow(texts) else as_list(texts), output)
        logits = self.logits(self.lookup.encode(map(_checked, as_list(texts), count())))
        if output == Output.CLASSES:
            return logits.argmax(1)
        if output == Output.LOGITS:
            return logits
        return probabilities(logits, several=False)

    def to_bytes(self) -> bytes:
        """The contents of the student's file."""
        return file.pack(**{field.name: getattr(self, field.name) for field in fields(self)})

    def __reduce__(self) -> Any:
        """It travels between processes (pickle, Spark, Ray) as what its file holds."""
        return _of_bytes, (self.to_bytes(),)

    def save(self, path: Path) -> None:
        """Write the student's file."""
        with whole(path) as part:
            part.write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a student's file.

        Raises:
            PotstillError: the file is missing, damaged, or no student's.
        """
        try:
            if Path(path).stat().st_size > file.LARGEST:
                raise ValueError("it is larger than any student's file")
            return cls(**file.unpack(Path(path).read_bytes()))
        except FileNotFoundError:
            raise PotstillError(f"{path} is missing: run `dvc repro` (or `dvc pull`) to make it") from None
        except (OSError, ValueError) as error:
            raise PotstillError(f"{path} cannot be loaded: {error}") from None


def as_list(texts: Any) -> list[Any]:
    """Any collection of texts as a list; one string is one text."""
    if isinstance(texts, str):
        return [texts]
    for convert in ("to_pylist", "tolist"):  # Arrow's; numpy's and pandas'
        if hasattr(texts, convert):
            return getattr(texts, convert)()
    return list(texts)


def _checked(text: Any, number: int) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text {number} is of type {type(text).__name__}, and no string")
    return text


def _is_arrow(texts: Any) -> bool:
    """Whether Arrow can hand over the texts; those of pandas are strings of Python's mostly, and faster as a list."""
    handed = hasattr(texts, "__arrow_c_stream__") or hasattr(texts, "__arrow_c_array__")
    return handed and not hasattr(texts, "iloc")


def pad(texts: Encoded, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids and the mask, both (len(chosen), longest), of some of the texts."""
    starts = texts.starts[chosen]
    lengths = texts.starts[chosen + 1] - starts
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = texts.ids[(starts[:, None] + np.arange(lengths.max()))[mask]]
    return ids, mask


def _of_bytes(content: bytes) -> Student:
    return Student(**file.unpack(content))
