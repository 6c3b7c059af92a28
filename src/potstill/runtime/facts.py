"""The facts of a model file: a JSON object of metadata. `student.js` applies the same checks.

    version    of potstill, a string
    params     how the student was trained, an object
    rows       numbers of texts, below 2^53: those of `train` and `unlabelled` that the student was trained on, and all
               of the splits in `metrics`
    sha256     digests, strings by the name of the file
    metrics    by split, an object of numbers that includes `FIGURES`, which lie between 0 and 1
    teachers   accuracies, numbers between 0 and 1 by the name of the teacher
    labelled_by_teacher  the splits in `metrics` that nobody has labelled, so that these are agreements with the
               teacher, a list of strings
    untested_teachers  names of teachers whose accuracy is not known, a list of strings
    scope      which texts are in scope, an object of numbers that includes `SCOPE`: the least score of such a text (see
               `runtime.scope`); the share of in-scope texts below it, and its 95% upper bound, both between 0 and 1;
               and the number of texts it was fitted on. `test` is the share of the test texts below it. `weight`, a
               number, comes with `rare`, the rare rows of the embedding table: a list of lengths of runs, integers as
               in `rows`, of rare rows from the first row on, then of others, then again of rare rows, and so on; their
               sum is at most the number of rows, and rows after the last run are not rare. Without both, none is.
    words      the entries of the vocabulary, one a line
    guarantee  of a single-label student, see `runtime.guarantee`: an object of `kind` (accuracy or agreement), `target`
               and `confidence` (above 0, below 1), `per_class` (true or false), `thresholds` (a number between 0 and 1,
               or null, for each class), `rows` (as above), `answered` (between 0 and 1), and optionally `test`: an
               object of `rows`, `answered`, and `kept` (between 0 and 1, or null)
    profile    what the validation texts look like to the student, see docs/format.md; checked when it is used, in
               `runtime.profile`

All are optional, but `metrics` requires `version`, `rows`, `sha256` and `teachers`, which `potstill inspect` prints
next to them. Other keys are allowed and not checked.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from potstill.core.errors import SURROGATE

MAX_DEPTH = 8  # of nested objects and lists
FIGURES = ("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "calibration_error")
SCOPE = ("threshold", "false_alarms", "false_alarms_high", "texts")
RARE = "rare"  # in `scope`
MAX_TEXTS = 2**53  # JavaScript does not represent every larger integer
_BAD_ENTRY = re.compile(r"(?:^|[ \n])(?:[ \n]|\Z)")  # an empty line, or a leading, trailing or double space


def check(facts: Any, entries: int, rows: int, classes: int) -> None:
    """Check the facts of a file, parsed JSON.

    Args:
        facts: the facts.
        entries: those of its vocabulary.
        rows: those of its embedding table.
        classes: the number of its classes; 0 in a multi-label task, which has no guarantee.

    Raises:
        ValueError: the facts are not as described above.
    """
    if not isinstance(facts, dict):
        raise ValueError("its facts are not a JSON object")
    if not _is_sound(facts, MAX_DEPTH):
        raise ValueError("its facts are nested too deep, or hold a number that is not finite or a lone surrogate")
    for name, is_valid in _CHECKS.items():
        if name in facts and not is_valid(facts[name]):
            raise ValueError(f"its facts are wrong in {name!r}")
    if "scope" in facts and not _is_scope(facts["scope"], rows):
        raise ValueError("its facts are wrong in 'scope'")
    if "words" in facts and not _are_entries(facts["words"], entries):
        raise ValueError(f"its facts do not name its {entries:,} words")
    if "guarantee" in facts and not _is_guarantee(facts["guarantee"], classes):
        raise ValueError("its facts are wrong in 'guarantee'")
    if "metrics" in facts and not _is_complete(facts):
        raise ValueError("its facts are not complete")


def split_words(words: str) -> list[str]:
    """Return the entries of the vocabulary that the fact `words` lists."""
    return words.split("\n") if words else []


def _is_sound(value: Any, depth: int) -> bool:
    """Return whether any JSON writer can write a value."""
    if isinstance(value, str):
        return value.isascii() or not SURROGATE.search(value)
    if isinstance(value, dict):
        return depth > 0 and all(_is_sound(key, 0) and _is_sound(item, depth - 1) for key, item in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_is_sound(item, depth - 1) for item in value)
    return value is None or math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and 0 <= value < MAX_TEXTS and value % 1 == 0 and math.copysign(1, value) > 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _are_scores(value: Any) -> bool:
    return _is_object(value, _is_number) and all(_is_share(value[name]) for name in FIGURES if name in value)


def _is_scope(value: Any, rows: int) -> bool:
    if not isinstance(value, dict):
        return False
    numbers = {name: item for name, item in value.items() if name != RARE}
    runs = value.get(RARE, [])
    return (
        _is_object(numbers, _is_number)
        and all(name in numbers for name in SCOPE)
        and all(_is_share(numbers[name]) for name in SCOPE[1:3])
        and (RARE in value) == ("weight" in numbers)
        and isinstance(runs, list)
        and all(map(_is_count, runs))
        and sum(runs) <= rows
    )


def _is_object(value: Any, is_valid: Callable[[Any], bool]) -> bool:
    """Return whether a value is an object with valid values."""
    return isinstance(value, dict) and all(map(is_valid, value.values()))


_CHECKS = {
    "version": _is_text,
    "params": lambda value: isinstance(value, dict),
    "rows": lambda value: _is_object(value, _is_count),
    "sha256": lambda value: _is_object(value, _is_text),
    "metrics": lambda value: _is_object(value, _are_scores),
    "teachers": lambda value: _is_object(value, _is_share),
    "labelled_by_teacher": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "untested_teachers": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "words": _is_text,
}


def _are_entries(words: str, entries: int) -> bool:
    count = words.count("\n") + 1 if words else 0
    return count == entries and not (words and _BAD_ENTRY.search(words))


def _is_guarantee(value: Any, classes: int) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() - {"test"} == _GUARANTEE.keys()
        and all(is_valid(value[name]) for name, is_valid in _GUARANTEE.items())
        and len(value["thresholds"]) == classes > 0
        and ("test" not in value or _is_outcome(value["test"]))
    )


def _is_outcome(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"rows", "answered", "kept"}
        and _is_count(value["rows"])
        and _is_share(value["answered"])
        and _is_share_or_null(value["kept"])
    )


def _is_share_or_null(value: Any) -> bool:
    return value is None or _is_share(value)


def _is_inner_share(value: Any) -> bool:
    return _is_share(value) and 0 < value < 1


_GUARANTEE: dict[str, Callable[[Any], bool]] = {
    "kind": lambda value: _is_text(value) and value in ("accuracy", "agreement"),
    "target": _is_inner_share,
    "confidence": _is_inner_share,
    "per_class": lambda value: isinstance(value, bool),
    "thresholds": lambda value: isinstance(value, list) and all(map(_is_share_or_null, value)),
    "rows": _is_count,
    "answered": _is_share,
}


def _is_complete(facts: dict[str, Any]) -> bool:
    return (
        all(name in facts for name in ("version", "rows", "sha256", "teachers"))
        and all(name in facts["rows"] for name in ("train", "unlabelled", *facts["metrics"]))
        and all(name in scores for scores in facts["metrics"].values() for name in FIGURES)
    )
