"""What a model file may say of itself. `student.js` checks the same.

    version    of potstill, a string
    params     how the student was trained, an object
    rows       numbers of texts, below 2^53: of `train` and `unlabelled`, those that the student was trained on; of the
               splits in `metrics`, all
    sha256     strings by the name of what they are the digests of
    metrics    by the name of the split an object of numbers, `FIGURES` among them, which are within 0 and 1
    teachers   numbers within 0 and 1, each teacher's accuracy by its name
    untested_teachers  a list of strings, the names of those whose accuracy is not known
    words      the entries of the vocabulary, a line each

Any of them may be missing, but with `metrics` come all that `potstill inspect` prints beside them. There may be others,
of which nothing is expected.
"""

import math
import re
from typing import Any

from potstill.errors import SURROGATE

DEEPEST = 8  # objects and lists inside each other
FIGURES = ("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "calibration_error")
MOST = 2**53  # texts; from there on JavaScript does not know every integer
_NO_ENTRY = re.compile(r"(?:^|[ \n])(?:[ \n]|\Z)")  # a line without words, or with a space too many


def check(facts: Any, entries: int) -> None:
    """Check the facts of a file.

    Args:
        facts: what its JSON says.
        entries: of the vocabulary, for which it may have names.

    Raises:
        ValueError: they are not as described above.
    """
    if not isinstance(facts, dict):
        raise ValueError("its facts are no JSON object")
    if not _sound(facts, DEEPEST):
        raise ValueError("its facts are nested too deep, or hold a number that is not finite or half of a character")
    for name, fits in _KINDS.items():
        if name in facts and not fits(facts[name]):
            raise ValueError(f"its facts are wrong in {name!r}")
    if "words" in facts and not _named(facts["words"], entries):
        raise ValueError(f"its facts do not name its {entries:,} words")
    if "metrics" in facts and not _complete(facts):
        raise ValueError("its facts are not complete")


def listed(words: str) -> list[str]:
    """The entries of the vocabulary that `words` names."""
    return words.split("\n") if words else []


def _sound(value: Any, depth: int) -> bool:
    """Whether a value of JSON can be written again, by any writer."""
    if isinstance(value, str):
        return value.isascii() or not SURROGATE.search(value)
    if isinstance(value, dict):
        return depth > 0 and all(_sound(key, 0) and _sound(one, depth - 1) for key, one in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_sound(one, depth - 1) for one in value)
    return value is None or math.isfinite(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return _number(value) and 0 <= value < MOST and value % 1 == 0 and math.copysign(1, value) > 0


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _scores(value: Any) -> bool:
    return _table(_number)(value) and all(_share(value[name]) for name in FIGURES if name in value)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _table(of: Any) -> Any:
    return lambda value: isinstance(value, dict) and all(map(of, value.values()))


_KINDS = {
    "version": _text,
    "params": _table(lambda value: True),
    "rows": _table(_count),
    "sha256": _table(_text),
    "metrics": _table(_scores),
    "teachers": _table(_share),
    "untested_teachers": _names,
    "words": _text,
}


def _named(words: str, entries: int) -> bool:
    count = words.count("\n") + 1 if words else 0
    return count == entries and not (words and _NO_ENTRY.search(words))


def _complete(facts: dict[str, Any]) -> bool:
    return (
        all(name in facts for name in ("version", "rows", "sha256", "teachers"))
        and all(name in facts["rows"] for name in ("train", "unlabelled", *facts["metrics"]))
        and all(name in found for found in facts["metrics"].values() for name in FIGURES)
    )
