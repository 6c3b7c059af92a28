"""From what users of scikit-learn pass, texts and labels of any kind, to the tables that the stage `prepare` cleans."""

import warnings
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length

from potstill.core.errors import PotstillError
from potstill.readers.tables import RawData, Table, class_name, make_table
from potstill.runtime.model import as_list, as_texts


@dataclass(frozen=True)
class Classes:
    """The classes of a task.

    Attributes:
        values: as the user writes them, in ascending order; for an indicator matrix, the names of its columns.
        names: the same as names of classes in a model file.
        multi_label: whether labels are an indicator matrix.
    """

    values: np.ndarray
    names: list[str]
    multi_label: bool

    @classmethod
    def of(cls, y: Any) -> Self:
        """Find the classes in labels.

        Args:
            y: the label of each text: strings, integers or booleans (texts,). Or, as in scikit-learn, an indicator
                matrix (texts, labels) for multi-label classification, whose columns a data frame names.

        Raises:
            ValueError: `y` is of a kind that scikit-learn does not accept, such as lists of names.
            PotstillError: a label is missing, labels are of several types, or two classes have the same name.
        """
        labels = _plain(y)
        _check_labels(labels)
        check_classification_targets(labels)
        multi_label = type_of_target(labels) == "multilabel-indicator"
        if not multi_label and any(isinstance(label, list | tuple | set) for label in labels):
            raise ValueError("y: lists of labels. Make an indicator matrix of them with MultiLabelBinarizer.")
        values = np.unique(np.asarray(labels)) if not multi_label else _columns(y, labels)
        return cls.named(values, multi_label)

    @classmethod
    def named(cls, values: Any, multi_label: bool = False) -> Self:
        """Return classes in the given order.

        Args:
            values: as the user writes them.
            multi_label: whether labels are an indicator matrix.

        Raises:
            PotstillError: two classes have the same name.
        """
        values = np.asarray(values)
        names = [class_name(value) or repr(value) for value in values.tolist()]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise PotstillError(f"several classes are named {twice!r}. Rename or merge them.")
        return cls(values, names, multi_label)

    @classmethod
    def to_choose(cls, names: Any) -> Self:
        """Return the classes to choose among where nobody has labelled the texts.

        Raises:
            PotstillError: they are not a list of at least two different names.
        """
        if isinstance(names, str | bytes | Mapping | Set) or np.ndim(names) != 1:
            raise PotstillError(f"label_names: {type(names).__name__}. Give a list of names, in the order of classes_.")
        if len(names) < 2 or not all(isinstance(name, str) and name.strip() for name in names):
            raise PotstillError("label_names: must be at least two names, which are strings and not empty.")
        return cls.named(names)

    def encode(self, y: Any) -> np.ndarray:
        """Return labels as ids, int64 (texts,), or as booleans (texts, labels).

        Raises:
            PotstillError: a label is not one of the classes.
        """
        labels = _plain(y)
        if self.multi_label:
            matrix = np.asarray(labels.toarray() if hasattr(labels, "toarray") else labels).astype(bool)
            if matrix.ndim != 2 or matrix.shape[1] != len(self.names):
                raise PotstillError(
                    f"y: of shape {matrix.shape}. Give an indicator matrix of {len(self.names)} columns."
                )
            return matrix
        ids = {value: id_ for id_, value in enumerate(self.values.tolist())}
        unknown = next((label for label in labels if label not in ids), None)
        if unknown is not None:
            raise PotstillError(f"y: the label {unknown!r} is not among the classes (found in fit: {self.names}).")
        return np.array([ids[label] for label in labels], np.int64)

    def decode(self, chosen: np.ndarray) -> np.ndarray:
        """Return ids as labels, or booleans as an indicator matrix of 0 and 1."""
        return chosen.astype(int) if self.multi_label else self.values[chosen]

    def table(self, X: Any, y: Any, name: str) -> Table:
        """Return texts and labels as a table; blank texts are left out, with a warning.

        Args:
            X: the texts.
            y: their labels.
            name: what messages call the table.
        """
        texts, ids = as_texts(X), self.encode(y)
        check_consistent_length(texts, ids)
        kept = _with_text(texts, name)
        labels: list[Any] = [self._named(ids[i]) for i in kept]
        frame = pd.DataFrame({"text": [texts[i] for i in kept], "label": pd.Series(labels, dtype=object)})
        return make_table(frame, name, self.multi_label, kept, "text")

    def _named(self, chosen: np.ndarray) -> str | list[str]:
        """Return the name of an id, or the names of the labels of a row of booleans."""
        return [self.names[i] for i in np.flatnonzero(chosen)] if self.multi_label else self.names[int(chosen)]


def raw_data(
    classes: Classes, X: Any, y: Any = None, unlabelled: Any = None, validation: Any = None, test: Any = None
) -> RawData:
    """Return the tables of a fit.

    Args:
        classes: those of `y`, or those to choose among without it.
        X, y: the texts and their labels, or None without labels.
        unlabelled: texts without labels, or None.
        validation, test: pairs of texts and labels, or None.

    Raises:
        PotstillError: `unlabelled` is a string.
    """
    splits = {"train": _texts(X, "fit") if y is None else classes.table(X, y, "fit")}
    for name, pair in (("validation", validation), ("test", test)):
        if pair is not None:
            texts, labels = pair
            splits[name] = classes.table(texts, labels, name)
    if isinstance(unlabelled, str):  # the name of a file, rather than a text
        raise PotstillError(f"unlabelled: a string ({unlabelled[:40]!r}). Give a list of texts.")
    more = [] if unlabelled is None else as_texts(unlabelled)
    tables = [_texts(more, "unlabelled")] if any(text.strip() for text in more) else []
    return RawData(splits, tables, classes.names)


def _texts(X: Any, name: str) -> Table:
    """Return texts without labels as a table; blank texts are left out, with a warning."""
    texts = as_texts(X)
    kept = _with_text(texts, name)
    frame = pd.DataFrame({"text": pd.Series([texts[i] for i in kept], dtype=object)})
    return make_table(frame, name, numbers=kept, unit="text")


def _plain(y: Any) -> Any:
    """Return labels as a list, an array or a sparse matrix."""
    if hasattr(y, "columns") and hasattr(y, "to_numpy"):
        y = y.to_numpy()
        if y.dtype == object and pd.DataFrame(y).isin([0, 1]).all(axis=None):  # of booleans and of integers
            y = y.astype(int)
    if hasattr(y, "toarray") or getattr(y, "ndim", 1) == 2:
        return y.ravel() if y.shape[1] == 1 else y
    return as_list(y)


def _check_labels(labels: Any) -> None:
    """Raise what scikit-learn and NumPy do not say of labels that are missing, of several types, or a wrong matrix."""
    if getattr(labels, "ndim", 1) != 1:
        if type_of_target(labels) != "multilabel-indicator":
            raise PotstillError(
                f"y: of shape {labels.shape}, and not of 0 and 1. Give one label per text, or an indicator matrix."
            )
        return
    missing = np.flatnonzero(pd.isna(pd.Series(list(labels), dtype=object)))
    if missing.size:
        raise PotstillError(f"y: label {missing[0]} is missing. Leave its text out, or give it in `unlabelled`.")
    kinds = {"string" if isinstance(label, str) else "number" for label in labels}
    if len(kinds) > 1:
        raise PotstillError("y: some labels are strings, others are numbers. Make all of them strings.")


def _columns(y: Any, labels: Any) -> np.ndarray:
    """Return the names of the columns of an indicator matrix, or their numbers."""
    names = getattr(y, "columns", None)
    return np.arange(np.shape(labels)[1]) if names is None else np.array([str(name) for name in names])


def _with_text(texts: Sequence[str], name: str) -> list[int]:
    """Return the positions of the texts that are not blank."""
    kept = [i for i, text in enumerate(texts) if text.strip()]
    if blank := len(texts) - len(kept):
        warnings.warn(f"{name}: {blank:,} of {len(texts):,} texts are blank and are left out", stacklevel=2)
    return kept
