"""A student: what loads its file, and answers."""

import os
from array import array
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Self

import numpy as np

from potstill import files
from potstill.errors import PotstillError
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
TABLES = ("columns", "column_names")  # what tables have, and no column: of pandas, Polars, Arrow, DuckDB, datasets
FOREIGN = {b"PK\3\4": "a ZIP archive", b"\x1f\x8b": "a gzip archive", b"\x08": "an ONNX model", b"{": "JSON"}
MISSING = ("NAType", "NaTType")  # pandas', which is not imported here


@dataclass(frozen=True)
class Student:
    """A small text classifier.

    Texts are given as a list or any other iterable, a numpy array, a column (pandas or Polars Series, Arrow array), or
    anything that Arrow can read; one string is one text, and an empty string too. Categories and dictionaries are read
    as their strings. Whatever is missing (None, NaN, null) or not a string raises a TypeError that names its place, and
    so does a table: give its column, as in `student.predict(table["text"])`. A text of an Arrow array that is not UTF-8
    raises a ValueError that names its place.

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
        if isinstance(texts, str):
            texts = [texts]
        elif not isinstance(texts, (list, tuple)) and not (_is_arrow(texts.__class__) and self._kernel):
            if getattr(texts, "ndim", 1) != 1:
                raise TypeError(f"texts has {texts.ndim} dimensions: give an array of one, or a string")
            texts = as_list(texts)
        if self._kernel:
            try:
                return self._kernel(texts, output)
            except NotImplementedError:  # in Arrow, and not as plain strings
                return self._score(as_list(texts), output)
            except TypeError:
                if isinstance(texts, (list, tuple)):
                    all(map(_checked, texts, count()))  # says which one is not a string
                raise
        logits = self.logits(self.lookup.encode(map(_checked, texts, count())))
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

    def save(self, path: Path | str | bytes) -> None:
        """Write the student's file; see `files.output` for what is there already.

        Raises:
            PotstillError: the path names a folder, or cannot be written to.
        """
        content = self.to_bytes()
        with files.output(path) as stream:
            stream.write(content)

    @classmethod
    def load(cls, path: Path | str | bytes) -> Self:
        """Read a model file.

        Raises:
            PotstillError: the file is missing, damaged, or not a potstill model file.
        """
        name = os.fsdecode(path)
        try:
            with open(name, "rb") as stream:
                data = stream.read(file.LARGEST + 1)
            if data[:3] != file.MAGIC[:3]:
                raise PotstillError(
                    f"{name}: not a potstill model file ({_kind_of(data)}). Give the {FILE} that `export` writes."
                )
            if len(data) > file.LARGEST:
                raise ValueError("larger than any model file")
            return cls(**file.unpack(data))
        except IsADirectoryError:
            raise PotstillError(f"{name} is a folder: give the model file in it, such as {Path(name) / FILE}") from None
        except FileNotFoundError:
            raise files.missing_file(name, "Give the path of a model file (.pot).") from None
        except (OSError, ValueError) as error:
            raise PotstillError(f"{name} cannot be loaded: {error}. Fetch or make the file again.") from None


def _kind_of(data: bytes) -> str:
    """What a file is that holds no student."""
    for start, name in FOREIGN.items():
        if data.startswith(start):
            return f"found: {name}"
    return f"it begins with {data[:8]!r}" if data else "it is empty"


def as_list(texts: Any) -> list[Any]:
    """Return a column or any other iterable as a list.

    Raises:
        ValueError: a text of an Arrow array is not UTF-8.
    """
    for name in ("tolist", "to_pylist", "to_list"):  # numpy's and pandas'; Arrow's; Polars'
        if convert := getattr(texts, name, None):
            try:
                return convert()
            except UnicodeDecodeError:  # does not say which text it is
                raise ValueError(f"text {_decodable(texts)} is not UTF-8: leave it out") from None
    return list(texts)


def _decodable(texts: Any) -> int:
    """How many texts of an Arrow array stand before the first that is not UTF-8."""
    number = 0
    with suppress(UnicodeDecodeError):
        for text in texts:
            getattr(text, "as_py", str)()
            number += 1
    return number


@lru_cache(64)
def _is_arrow(kind: type) -> bool:
    """Return whether Arrow hands over the texts of a type; those of pandas are faster as a list.

    Raises:
        TypeError: such a collection is not read text by text, as a table, whose columns have names.
    """
    what = f"texts is of type {kind.__name__}"
    if issubclass(kind, Mapping) or any(hasattr(kind, name) for name in TABLES):
        raise TypeError(f"{what}: give its column of texts, as in student.predict(frame['text'])")
    if issubclass(kind, (set, frozenset)):
        raise TypeError(f"{what}, which has no order: give a list")
    if issubclass(kind, (bytes, bytearray, memoryview, array)):
        raise TypeError(f"{what}: decode it to a string")
    if not issubclass(kind, Iterable) and not hasattr(kind, "__getitem__"):
        raise TypeError(f"{what}: give a string, or a list of strings")
    return any(hasattr(kind, f"__arrow_c_{how}__") for how in ("stream", "array")) and not hasattr(kind, "iloc")


def _checked(text: Any, number: int) -> str:
    if isinstance(text, str):
        return text
    kind = type(text).__name__
    if text is None or kind in MISSING or (isinstance(text, (float, np.floating)) and np.isnan(text)):
        raise TypeError(f"text {number} is missing: leave it out")
    raise TypeError(f"text {number} is not a string (found: {kind})")


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
