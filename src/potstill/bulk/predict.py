"""From a table of texts to a table of answers."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from potstill.bulk.asked import BadRows, Batch
from potstill.bulk.fallback import Fallback
from potstill.bulk.formats import STANDARD, Format, format_of, parse
from potstill.bulk.read import read
from potstill.bulk.write import Answers, LabelSets, writer
from potstill.errors import PotstillError
from potstill.runtime.decision import choose
from potstill.runtime.model import Student, as_list


class Done(NamedTuple):
    """What became of a file's rows."""

    rows: int
    skipped: int
    passed_on: int


def score(
    student: Student,
    batch: Batch,
    top: int | None,
    threshold: float | None,
    numbered: bool = False,
    fallback: Fallback | None = None,
) -> Answers | LabelSets:
    """Score a batch; see `predict` for what the others mean."""
    if student.thresholds is not None:
        return _several(student, batch, top, threshold, numbered)
    return answer(student, batch, min(top or 1, len(student.labels)), threshold or 0.0, numbered, fallback)


def answer(
    student: Student, batch: Batch, top: int, threshold: float, numbered: bool, fallback: Fallback | None = None
) -> Answers:
    """Score a batch of texts that have one label each."""
    scored = student.predict_proba(batch.texts)
    unsure = None
    if fallback:
        unsure = scored.max(1) < threshold
        threshold = 0.0
        if unsure.any():
            texts = as_list(batch.texts)
            scored[unsure] = fallback([texts[i] for i in np.flatnonzero(unsure)])
    best = scored.argmax(1)[:, None] if top == 1 else np.argsort(-scored, axis=1, kind="stable")[:, :top]
    probabilities = np.take_along_axis(scored, best, axis=1)
    best[probabilities[:, 0] < threshold, 0] = -1
    return Answers(student.labels, best, probabilities, batch.numbers if numbered else None, unsure)


def _several(student: Student, batch: Batch, top: int | None, threshold: float | None, numbered: bool) -> LabelSets:
    scored = student.predict_proba(batch.texts)
    chosen = choose(scored, student.thresholds if threshold is None else threshold)
    order = np.argsort(np.where(chosen, -scored, 1), axis=1, kind="stable")[:, :top]
    held = np.take_along_axis(chosen, order, axis=1)
    probabilities = np.take_along_axis(scored, order, axis=1)
    numbers = batch.numbers if numbered else None
    return LabelSets(student.labels, order[held], probabilities[held], held.sum(1), numbers)


@contextmanager
def progress() -> Iterator[Callable[[int], None]]:
    """Give a function that is told of rows done, and shows them on a terminal's standard error once a second."""
    start = shown = time.monotonic()
    total = 0

    def told(rows: int) -> None:
        nonlocal total, shown
        total += rows
        now = time.monotonic()
        if sys.stderr.isatty() and now - shown >= 1:
            shown = now
            print(f"\r{total:,} texts, {total / (now - start):,.0f} a second ", end="", file=sys.stderr, flush=True)

    yield told
    if sys.stderr.isatty() and shown != start:
        print(file=sys.stderr)


def predict(
    student: Student,
    source: str,
    target: str,
    *,
    source_format: Format | None = None,
    target_format: Format | None = None,
    column: str = "text",
    top: int | None = None,
    threshold: float | None = None,
    skip_bad: bool = False,
    fallback: Fallback | None = None,
    keep: Sequence[Path] = (),
) -> Done:
    """Score a file in constant memory.

    Args:
        student: what to score with.
        source, target: files, or `-` for standard input and output.
        source_format, target_format: None to go by the files' names; txt and jsonl for standard input and output.
        column: the name of the column, or key, that holds the text.
        top: how many classes to write, the most probable ones; None for one, or for all that a text has where it may
            have several.
        threshold: below this probability the best class is left empty, or the text passed on; None for 0. Where a text
            may have several labels, the probability from which on it has one; None for the student's own.
        skip_bad: whether to leave out rows without a text, and number the others.
        fallback: gives the probabilities of texts that are passed on; None to pass on none. Only where a text has one
            label.
        keep: files that `target` must not be, as it must not be `source`.

    Returns:
        How many rows were scored, how many left out, and how many of those scored were passed on.

    Raises:
        PotstillError: a file cannot be read or written, or a row is bad.
    """
    for called, name in (("input", source), ("output", target)):
        if not name:
            raise PotstillError(f"the {called}'s name is empty: name a file, or - for standard {called}")
    reads, writes = format_of(source, source_format, "txt"), format_of(target, target_format, "jsonl")
    named = parse(target)
    if named and named.packed:
        raise PotstillError(f"{target} would be compressed, which potstill does not write: leave out its last ending")
    skipped = BadRows(0 if skip_bad else None)
    done = passed_on = 0

    with writer(target, writes, 0 if source == STANDARD else source, *keep) as write, progress() as told:
        for batch in read(source, reads, [column], skipped):
            answers = score(student, batch, top, threshold, skip_bad, fallback)
            write(answers)
            done += len(batch.numbers)
            if isinstance(answers, Answers) and answers.passed_on is not None:
                passed_on += int(answers.passed_on.sum())
            told(len(batch.numbers))
        if not done:
            write(score(student, Batch([], []), top, threshold, skip_bad))  # a header, if there is any
    return Done(done, skipped.count or 0, passed_on)
