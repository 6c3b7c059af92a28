"""A student: loads a model file and classifies texts."""

import os
from array import array
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.core import files
from potstill.core.errors import PotstillError, missing_package
from potstill.core.labels import predict_labels, probabilities
from potstill.runtime import fast, file, scope
from potstill.runtime.facts import split_words
from potstill.runtime.fast import Output
from potstill.runtime.file import Contents, FormatError
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.networks import ARCHITECTURES
from potstill.runtime.tokenizer import UNKNOWN, Encoded, Words

if TYPE_CHECKING:
    from potstill.runtime.drift import Drift

FILE = "student.pot"  # in the folders of `student` and `export`
# Also in the folder of `student`: the entries of the vocabulary, absent from files with fingerprints, and the weights
# before quantization, which show what quantization costs.
WORDS, UNROUNDED = "words.json", "unrounded.safetensors"
# Texts scored at once without the kernel, and their ids with padding: a text of subwords may be a hundred times as long
# as `max_length`.
BATCH, BATCH_IDS = 512, 1 << 16
TRANSFORMER_MAGIC = b"pot2"  # of the files of `runtime.transformer`
TABLES = ("columns", "column_names")  # attributes of tables only: of pandas, Polars, Arrow, DuckDB and datasets
FOREIGN = {b"PK\3\4": "a ZIP archive", b"\x1f\x8b": "a gzip archive", b"\x08": "an ONNX model", b"{": "JSON"}
MISSING = ("NAType", "NaTType")  # of pandas, which is not imported here


class Classifier:
    """A student of any kind: predictions, and reading and writing its model file.

    Texts are a list or any other iterable, a NumPy array, a column (pandas or Polars Series, Arrow array), or any
    object with Arrow's C data interface. A single string, even an empty one, is one text. Categories and dictionaries
    are read as their strings. A missing text (None, NaN, null) or one that is not a string raises a TypeError that
    gives its position; a table raises a TypeError as well: pass its column, as in `student.predict(table["text"])`.
    A text of an Arrow array that is not UTF-8 raises a ValueError that gives its position.

    Attributes:
        labels: the names of the classes.
        temperature: what logits are divided by to calibrate probabilities.
        thresholds: in a multi-label task, the least probability with which a text has each label; None otherwise.
        facts: metadata, see the module `facts`.
    """

    labels: list[str]
    temperature: float
    thresholds: list[float] | None
    facts: dict[str, Any]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.architecture}, {len(self.labels):,} labels, {self.parameters:,} parameters, "
            f"{len(self.to_bytes()):,} bytes)"
        )

    @property
    def architecture(self) -> str:
        """Name of the network's architecture."""
        raise NotImplementedError

    @property
    def parameters(self) -> int:
        """Number of trained parameters of the network."""
        raise NotImplementedError

    @property
    def max_length(self) -> int:
        """Words or tokens per text; the rest of a text is truncated."""
        raise NotImplementedError

    @property
    def details(self) -> dict[str, Any]:
        """Its vocabulary and its weights, for `potstill inspect`."""
        raise NotImplementedError

    @property
    def classes_(self) -> np.ndarray:
        """The names of the classes, in the order of the columns of `predict_proba`."""
        return np.array(self.labels)

    def predict(self, texts: Any, *, abstain: bool = False) -> np.ndarray:
        """Predict the most probable class of each text.

        Args:
            texts: the texts.
            abstain: whether to predict None for texts that the guarantee in the file does not cover.

        Returns:
            The names of the classes, an array of shape (texts,). In a multi-label task, its elements are tuples of the
            labels whose probability reaches their threshold, in the order of `classes_`, possibly none.

        Raises:
            PotstillError: it is to abstain, and the file has no guarantee.
        """
        if abstain:
            guarantee = Guarantee.required(self.facts, "abstain")
            scores = self.predict_proba(texts)
            labels = self.classes_[scores.argmax(1)].astype(object)
            labels[~guarantee.answers(scores)] = None
            return labels
        if self.thresholds is None:
            return self.classes_[self._score(texts, Output.CLASSES)]
        chosen = predict_labels(self.predict_proba(texts), self.thresholds)
        label_sets = np.empty(len(chosen), object)
        label_sets[:] = [tuple(self.labels[i] for i in np.flatnonzero(row)) for row in chosen]
        return label_sets

    def predict_proba(self, texts: Any) -> np.ndarray:
        """Return class probabilities, float32 of shape (texts, classes), in the order of `classes_`.

        Each row sums to 1, but in a multi-label task, where each label has a probability of its own.
        """
        if self.thresholds is None:
            return self._score(texts, Output.PROBABILITIES)
        return probabilities(self._score(texts, Output.LOGITS), multi_label=True)

    def decision_function(self, texts: Any) -> np.ndarray:
        """Return calibrated logits, float32 of shape (texts, classes): the input of softmax or sigmoid."""
        return self._score(texts, Output.LOGITS)

    def in_scope(self, texts: Any) -> np.ndarray:
        """Return whether each text is like those of the training data, booleans (texts,); False is "none of these".

        By `facts["scope"]`, at most a share `false_alarms` of texts of the same kind gets False.

        Raises:
            PotstillError: the model file has no threshold for it.
        """
        return scope.predict(self, texts)[1]

    def logits_and_rare(self, texts: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return calibrated logits, float32 (texts, classes), and the shares of rare rows, float32 (texts,).

        See `runtime.scope`.
        """
        scored = self._score(texts, Output.LOGITS_AND_RARE)
        return scored[:, :-1], scored[:, -1]

    @property
    def rows(self) -> int:
        """Number of rows of the embedding table."""
        raise NotImplementedError

    @cached_property
    def rare_rows(self) -> np.ndarray:
        """Which rows of the embedding table are rare, see `runtime.scope`: uint8 (rows,), 1 or 0."""
        return scope.rare_rows(self.facts, self.rows)

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Encode texts as ids: the rows of the embedding table."""
        raise NotImplementedError

    def logits(self, texts: Encoded) -> np.ndarray:
        """Return calibrated logits of encoded texts, float32 of shape (texts, classes)."""
        raise NotImplementedError

    def knows(self, words: Iterable[str]) -> list[bool]:
        """Return whether each word, in lower case, is in the vocabulary as a whole."""
        raise NotImplementedError

    def drift(self, texts: Any, alpha: float = 0.01, min_effect: float = 0.05) -> "Drift":
        """Compare texts with the validation texts, whose profile the file holds.

        Args:
            texts: the texts; they are not kept.
            alpha: the false-alarm rate, 0.0001 to 0.5.
            min_effect: the least share of texts in other bins that counts as drift, 0 to 1.

        Returns:
            What differs; `print` shows it as a table.

        Raises:
            PotstillError: the file has no profile, there are no texts, or an argument is out of range.
        """
        from potstill.runtime.drift import drift

        return drift(self, [as_texts(texts)], alpha, min_effect)

    def _score(self, texts: Any, output: Output) -> np.ndarray:
        encoded = self.encode(map(_checked, _sequence(texts), count()))
        logits = self.logits(encoded)
        if output == Output.LOGITS_AND_RARE:
            rare = np.add.reduceat(self.rare_rows[encoded.ids], encoded.starts[:-1], dtype=np.float32)
            return np.column_stack([logits, rare / encoded.lengths.astype(np.float32)])
        if output == Output.CLASSES:
            return logits.argmax(1)
        if output == Output.LOGITS:
            return logits
        return probabilities(logits, multi_label=False)

    def to_bytes(self) -> bytes:
        """Return the bytes of the model file."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, data: bytes) -> "Classifier":
        """Read the bytes of a model file, of whatever kind of student.

        Raises:
            FormatError: they are damaged, or not those of a model file.
            PotstillError: its kind of student requires packages that are not installed.
        """
        if data[:4] != TRANSFORMER_MAGIC:
            return Student(**vars(file.unpack(data)))
        try:
            from potstill.runtime.transformer.model import Transformer
        except ModuleNotFoundError as error:
            raise missing_package(error.name, "transformer") from None
        return Transformer.unpack(data)

    def __reduce__(self) -> Any:
        """Pickle (for Spark, Ray and other processes) as the bytes of the model file."""
        return type(self).from_bytes, (self.to_bytes(),)

    def save(self, path: Path | str | bytes) -> None:
        """Write the model file; see `files.output` for how an existing file is replaced.

        Raises:
            PotstillError: the path names a folder, or cannot be written to.
        """
        content = self.to_bytes()
        with files.output(path) as stream:
            stream.write(content)

    @classmethod
    def load(cls, path: Path | str | bytes) -> "Classifier":
        """Read a model file, of whatever kind of student.

        Raises:
            PotstillError: the file is missing, damaged, or not a potstill model file; or its kind of student requires
                packages that are not installed.
        """
        name = os.fsdecode(path)
        try:
            with open(name, "rb") as stream:
                data = stream.read(file.MAX_BYTES + 1)
            if data[:3] != file.MAGIC[:3]:
                raise PotstillError(
                    f"{name}: not a potstill model file ({_kind_of(data)}). Give the {FILE} that `export` writes."
                )
            if len(data) > file.MAX_BYTES:
                raise FormatError("larger than any model file")
            return cls.from_bytes(data)
        except IsADirectoryError:
            raise PotstillError(f"{name}: it is a folder. Give a file in it, such as {Path(name) / FILE}.") from None
        except FileNotFoundError:
            raise files.missing_file(name, "Give the path of a model file (.pot).") from None
        except (FormatError, OSError, ValueError) as error:
            advice = getattr(error, "advice", "Fetch or make the file again.")
            raise PotstillError(f"{name}: it cannot be loaded: {error}. {advice}") from None


@dataclass(frozen=True, repr=False, eq=False)
class Student(Classifier, Contents):
    """A student over words: the contents of its model file, and predictions."""

    @property
    def architecture(self) -> str:
        """Name of the network's architecture."""
        return self.shape.architecture

    @property
    def parameters(self) -> int:
        """Number of trained parameters of the network."""
        return sum(weight.size for weight in self.weights.values())

    @property
    def rows(self) -> int:
        """Number of rows of the embedding table."""
        return self.vocabulary.size

    @property
    def max_length(self) -> int:
        """Words per text; the rest of a text is truncated."""
        return self.vocabulary.max_length

    @property
    def details(self) -> dict[str, Any]:
        """Its vocabulary and its weights, for `potstill inspect`."""
        entries = self.vocabulary.entries
        matches = "strings" if isinstance(entries, Words) else "fingerprints"
        return {"words": len(entries), "bits": list(self.bits), "matches": matches}

    @property
    def words(self) -> list[str] | None:
        """The entries of the vocabulary in the order of their rows; None if the file does not name them."""
        if isinstance(self.vocabulary.entries, Words):
            return list(self.vocabulary.entries.strings)
        return split_words(self.facts["words"]) if "words" in self.facts else None

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Encode texts as ids: the rows of the embedding table."""
        return self.vocabulary.encode(texts)

    def knows(self, words: Iterable[str]) -> list[bool]:
        """Return whether each word, in lower case, is in the vocabulary as a whole."""
        return [self.vocabulary.row(word) != UNKNOWN for word in words]

    def logits(self, texts: Encoded) -> np.ndarray:
        """Return calibrated logits of encoded texts by numpy, float32 of shape (texts, classes)."""
        forward = ARCHITECTURES[self.shape.architecture]
        lengths = texts.lengths
        order = np.argsort(-lengths, kind="stable")
        scored = np.empty((len(texts), len(self.labels)), np.float32)
        start = 0
        while start < len(texts):
            size = max(1, min(BATCH, BATCH_IDS // int(lengths[order[start]])))
            chosen = order[start : start + size]
            scored[chosen] = forward(self.weights, *pad(texts, chosen))
            start += size
        return scored / np.float32(self.temperature)

    @cached_property
    def _kernel(self) -> fast.Scorer | None:
        return fast.Scorer.build(self.vocabulary, self.shape, self.weights, self.temperature, self.rare_rows)

    def _score(self, texts: Any, output: Output) -> np.ndarray:
        if not self._kernel:
            return super()._score(texts, output)
        if isinstance(texts, (str, list, tuple)) or not _is_arrow(texts.__class__):
            texts = _sequence(texts)
        try:
            return self._kernel(texts, output)
        except NotImplementedError:  # an Arrow array of another type than strings
            return self._score(as_list(texts), output)
        except TypeError:
            if isinstance(texts, (list, tuple)):
                all(map(_checked, texts, count()))  # raises the error that gives its position
            raise

    def to_bytes(self) -> bytes:
        """Return the bytes of the model file."""
        return file.pack(self)


def _kind_of(data: bytes) -> str:
    """Describe the content of a file that is not a model file."""
    for start, name in FOREIGN.items():
        if data.startswith(start):
            return f"found: {name}"
    return f"it begins with {data[:8]!r}" if data else "it is empty"


def _sequence(texts: Any) -> list[Any] | tuple[Any, ...]:
    """Return texts of any kind as a list or tuple.

    Raises:
        TypeError: they are no collection of texts, or of more than one dimension.
        ValueError: a text of an Arrow array is not UTF-8.
    """
    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, (list, tuple)):
        return texts
    _is_arrow(texts.__class__)  # raises the error of a type that is no collection of texts
    if getattr(texts, "ndim", 1) != 1:
        raise TypeError(f"texts has {texts.ndim} dimensions: give an array of one, or a string")
    return as_list(texts)


def as_texts(texts: Any) -> list[str]:
    """Return texts of any kind that `Classifier` reads as a list of strings, with the same errors."""
    return list(map(_checked, _sequence(texts), count()))


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
    """Return the position of the first text of an Arrow array that is not UTF-8."""
    number = 0
    with suppress(UnicodeDecodeError):
        for text in texts:
            getattr(text, "as_py", str)()
            number += 1
    return number


@lru_cache(64)
def _is_arrow(kind: type) -> bool:
    """Return whether to read a collection by Arrow's C data interface; those of pandas are faster as a list.

    Raises:
        TypeError: the type is not a collection of texts, as a table is not.
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
    """Return the ids, int64, and the mask of the chosen texts, both (len(chosen), length of the longest)."""
    starts = texts.starts[chosen]
    lengths = texts.starts[chosen + 1] - starts
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = texts.ids[(starts[:, None] + np.arange(lengths.max()))[mask]]
    return ids, mask
