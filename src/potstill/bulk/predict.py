"""Classifying the texts of a file, batch by batch."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from potstill.bulk.fallback import Fallback
from potstill.bulk.write import LabelSets, TopLabels, writer
from potstill.core.errors import PotstillError
from potstill.core.labels import predict_labels
from potstill.readers import propose
from potstill.readers.formats import STANDARD, Format, format_of, parse
from potstill.readers.open import display_name
from potstill.readers.read import read
from potstill.readers.request import BadRows, Batch
from potstill.runtime import scope as scopes
from potstill.runtime.model import Classifier, as_list

Threshold = float | Sequence[float]
"""A probability for all classes, or one for each; infinite for a class that is never answered."""


class Summary(NamedTuple):
    """The numbers of rows that were classified, left out, and classified by the fallback."""

    rows: int
    skipped: int
    passed_on: int


def classify(
    student: Classifier,
    batch: Batch,
    top: int | None,
    threshold: Threshold | None,
    numbered: bool = False,
    fallback: Fallback | None = None,
    scope: bool = False,
) -> TopLabels | LabelSets:
    """Classify a batch; with `numbered`, the row numbers are kept. For the other arguments see `predict`."""
    if student.thresholds is not None:
        return _label_sets(student, batch, top, threshold, numbered, scope)
    return top_labels(student, batch, min(top or 1, len(student.labels)), threshold or 0.0, numbered, fallback, scope)


def _scored(student: Classifier, batch: Batch, scope: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the probabilities of a batch, and with `scope` whether its texts are in scope."""
    return scopes.predict(student, batch.texts) if scope else (student.predict_proba(batch.texts), None)


def top_labels(
    student: Classifier,
    batch: Batch,
    top: int,
    threshold: Threshold,
    numbered: bool,
    fallback: Fallback | None = None,
    scope: bool = False,
) -> TopLabels:
    """Classify a batch of single-label texts."""
    probabilities, in_scope = _scored(student, batch, scope)
    passed_on = None
    limits = np.broadcast_to(np.asarray(threshold, np.float32), len(student.labels))
    unsure = probabilities.max(1) < limits[probabilities.argmax(1)]
    if fallback:
        passed_on, unsure = unsure, np.zeros_like(unsure)
        if passed_on.any():
            texts = as_list(batch.texts)
            probabilities[passed_on] = fallback.predict_proba([texts[i] for i in np.flatnonzero(passed_on)])
    ids = probabilities.argmax(1)[:, None] if top == 1 else np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    highest = np.take_along_axis(probabilities, ids, axis=1)
    ids[unsure, 0] = -1
    return TopLabels(student.labels, ids, highest, batch.numbers if numbered else None, passed_on, in_scope)


def _label_sets(
    student: Classifier, batch: Batch, top: int | None, threshold: Threshold | None, numbered: bool, scope: bool
) -> LabelSets:
    probabilities, in_scope = _scored(student, batch, scope)
    chosen = predict_labels(probabilities, student.thresholds if threshold is None else threshold)
    order = np.argsort(np.where(chosen, -probabilities, 1), axis=1, kind="stable")[:, :top]
    kept = np.take_along_axis(chosen, order, axis=1)
    probabilities = np.take_along_axis(probabilities, order, axis=1)
    numbers = batch.numbers if numbered else None
    return LabelSets(student.labels, order[kept], probabilities[kept], kept.sum(1), numbers, in_scope)


class Progress:
    """Shows the number of texts done on standard error, once a second, if that is a terminal."""

    def __init__(self) -> None:
        self._start = self._shown = time.monotonic()
        self._total = 0

    def update(self, rows: int) -> None:
        """Count rows that are done."""
        self._total += rows
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown >= 1:
            self._shown = now
            rate = self._total / (now - self._start)
            print(f"\r{self._total:,} texts, {rate:,.0f} a second ", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None and sys.stderr.isatty() and self._shown != self._start:
            print(file=sys.stderr)


def predict(
    student: Classifier,
    source: str,
    target: str,
    *,
    source_format: Format | None = None,
    target_format: Format | None = None,
    texts: Sequence[str] = ("text",),
    carry: Sequence[str] = (),
    top: int | None = None,
    threshold: Threshold | None = None,
    skip_bad: bool = False,
    fallback: Fallback | None = None,
    scope: bool = False,
    keep: Sequence[Path] = (),
    overwrite: bool = False,
) -> Summary:
    """Classify the texts of a file in constant memory.

    Args:
        student: the student.
        source, target: files, or `-` for standard input and output.
        source_format, target_format: None to detect it from the file's name; then standard input is txt and standard
            output jsonl.
        texts: the names of the columns, or keys, of the text; several are joined, see `readers.request.join`.
        carry: the names of columns that are written before the predictions; of txt, `text` is the line.
        top: the maximum number of labels to write per text; None for one, or for all labels of a multi-label text.
        threshold: if a text's highest probability is below it (or below that of its class, if there is one for each),
            its label is left empty, or the fallback classifies the text; None for 0. For multi-label texts the decision
            threshold of all labels; None for the student's own.
        skip_bad: whether to leave out rows without a text, and number the others.
        fallback: classifies texts below the threshold; for single-label texts only.
        scope: whether to write which texts are in scope, see `Classifier.in_scope`.
        keep: files that `target` must not be; `source` is always one of them.
        overwrite: whether to replace `target` if it exists.

    Raises:
        PotstillError: a file cannot be read or written, or exists; a row has no text, or a column cannot be carried; or
            the model file does not know which texts are in scope.
    """
    for stream, name in (("input", source), ("output", target)):
        if not name:
            raise PotstillError(f"{stream}: empty name. Name a file, or - for standard {stream}.")
    reads, writes = format_of(source, source_format, "txt"), format_of(target, target_format, "jsonl")
    if (name_parts := parse(target)) and name_parts.packed:
        raise PotstillError(f"{target}: potstill writes no compressed files. Leave out the last ending.")
    if reads == "txt" and set(carry) - {"text"}:
        raise PotstillError(
            f"--keep: {display_name(source)} is a text file, which has only `text` (found: {', '.join(carry)})."
        )
    if writes == "txt" and scope:
        raise PotstillError("--scope: a text file has labels only. Write jsonl, csv or parquet.")
    carry = list(dict.fromkeys(carry))
    advise = propose.advise(source, reads, dict.fromkeys(texts, "--text"), propose.option)
    skipped = BadRows(0 if skip_bad else None)
    rows = passed_on = 0

    sources = [0 if source == STANDARD else source, *keep]
    with writer(target, writes, *sources, overwrite=overwrite) as out, Progress() as progress:
        columns = [*texts, *carry]
        for batch in read(source, reads, columns, skipped, len(texts), as_is=True, advise=advise):
            predictions = classify(student, batch, top, threshold, skip_bad, fallback, scope)
            others = [batch.texts] if reads == "txt" and carry else batch.others
            out.write(predictions, dict(zip(carry, others, strict=True)))
            rows += len(batch.numbers)
            if isinstance(predictions, TopLabels) and predictions.passed_on is not None:
                passed_on += int(predictions.passed_on.sum())
            progress.update(len(batch.numbers))
        if not rows:
            # The header, if the format has one.
            none = classify(student, Batch([], []), top, threshold, skip_bad, scope=scope)
            out.write(none, {name: [] for name in carry})
    return Summary(rows, skipped.count or 0, passed_on)
