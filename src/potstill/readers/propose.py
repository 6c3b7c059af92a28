"""Propose the columns that are probably meant where the columns of text and label are missing."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from potstill.readers.formats import Format
from potstill.readers.read import sample
from potstill.readers.request import Advise, folded

ROWS = 200  # read to look at the values
# Words of column names, the likeliest first.
TEXT_NAMES = (
    "text", "body", "message", "content", "sentence", "comment", "review", "tweet", "post", "utterance", "description",
    "document", "question", "query", "article", "abstract", "summary", "subject", "title", "headline",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "class", "category", "target", "intent", "sentiment", "emotion", "topic", "queue", "tag", "tags",
    "type", "y", "rating", "stars", "score", "priority", "department", "status", "genre", "group",
)  # fmt: skip
# Words of names of columns that are neither.
OTHER_NAMES = (
    "id", "uuid", "url", "link", "email", "mail", "date", "time", "timestamp", "user", "author", "name", "lang",
)  # fmt: skip
TEXT_WORDS, TEXT_CHARACTERS = 3.0, 12.0  # mean words, or mean characters of a script without spaces, of a text
LABEL_WORDS = 4.0  # mean words of a label, at most
DISTINCT = 0.5  # distinct values per row: at least for texts, at most for labels
FEW = 10  # rows, below which the share of distinct values tells little

_WORDS = re.compile(r"[^\W\d_]+")
_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]")
_FRACTION = re.compile(r"-?\d*\.\d*[1-9]\d*")
_DATE, _LINK, _HEX = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b.*", r"https?://\S+|\S+@\S+\.\S+", "[0-9a-f-]{16,}"
_STAMP = re.compile(rf"\s*({_DATE}|{_LINK}|{_HEX})\s*", re.IGNORECASE)


Setting = Callable[[str, Sequence[str]], str]
"""Returns how a key is set to the names of columns."""


def parameter(key: str, names: Sequence[str]) -> str:
    """Return how a parameter is set to names of columns: `prepare.text=body`, or `prepare.text=[subject,body]`."""
    return f"{key}={names[0]}" if len(names) == 1 else f"{key}=[{','.join(names)}]"


def option(key: str, names: Sequence[str]) -> str:
    """Return how an option is set to names of columns: `--text subject,body`."""
    return f"{key} {','.join(names)}"


def advise(path: str, kind: Format, keys: Mapping[str, str], setting: Setting) -> Advise:
    """Return what says which columns to name instead of those that are missing.

    Args:
        path: the file, whose first rows are read when it is asked; a pipe cannot be read again.
        kind: its format.
        keys: what names each column of the text and that of the label, such as `prepare.text`, by the column.
        setting: how a key is set.
    """

    @cache  # for every bad row of JSONL the same
    def say(missing: tuple[str, ...]) -> str:
        columns = sample(path, kind, ROWS) if os.path.isfile(path) or "://" in path else {}
        return sentence(missing, columns, keys, setting)

    return lambda missing: say(tuple(missing))


def sentence(
    missing: Sequence[str], columns: Mapping[str, Sequence[Any]], keys: Mapping[str, str], setting: Setting
) -> str:
    """Return which columns to name instead of those that are missing.

    Args:
        missing: the names of the missing columns.
        columns: the first values of the columns that are there.
        keys, setting: as for `advise`.
    """
    if set(missing) & set(columns):  # another row of JSONL has it
        return "Add it, or remove the row"
    wanted = list(dict.fromkeys(key for column, key in keys.items() if column in missing))
    if not wanted:
        return "Name columns that are there"
    proposed = propose({name: values for name, values in columns.items() if name not in keys})
    settings = []
    for key in wanted:
        named = [column for column, other in keys.items() if other == key]
        lost = [column for column in named if column in missing]
        found = proposed.get("label" if key.endswith("label") else "text")
        if found is None:
            settings.append(f"`{key}`")
        elif len(lost) > 1:
            settings.append(setting(key, [found]))
        else:
            settings.append(setting(key, [found if column in lost else column for column in named]))
    return f"Set {', '.join(settings)}"


def propose(columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the names of the columns that are probably the `text` and the `label`, as far as there are any.

    A text has several words, and differs from row to row; a label is short, and recurs. Among columns of which the
    values allow both, and where there are no values, the name decides.
    """
    by_text = {name: _text_score(name, values) for name, values in columns.items()}
    text = _best(by_text)
    by_label = {name: _label_score(name, values) for name, values in columns.items() if name != text}
    found = {"text": text, "label": _best(by_label)}
    return {key: name for key, name in found.items() if name is not None}


def _best(scores: Mapping[str, float]) -> str | None:
    """Return the first name with the highest score, if that is above 0."""
    best = max(scores, key=lambda name: scores[name], default=None)
    return best if best is not None and scores[best] > 0 else None


def _rank(name: str, known: Sequence[str]) -> float:
    """Return how likely a name is by its words: 1 for the first known one, near 0 for the last, 0 for others."""
    words = [folded(word) for word in _NAME_WORDS.findall(name)]
    places = [known.index(word) for word in (folded(name), *words) if word in known]
    return 1 - min(places) / len(known) if places else 0.0


def _is_other(name: str) -> bool:
    return _rank(name, OTHER_NAMES) > 0


def _text_score(name: str, values: Sequence[Any]) -> float:
    rank = _rank(name, TEXT_NAMES)
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts:
        return 0.0 if _is_other(name) or any(value is not None for value in values) else rank
    found = [_WORDS.findall(text) for text in texts]
    words, characters = np.mean(list(map(len, found))), np.mean([sum(map(len, one)) for one in found])
    is_long = words >= TEXT_WORDS or (characters >= TEXT_CHARACTERS and not any(map(str.isascii, texts)))
    distinct = len(set(texts)) / len(texts)
    stamped = sum(_STAMP.fullmatch(text) is not None for text in texts) > len(texts) / 2
    if stamped or not (is_long or rank) or (distinct < DISTINCT and len(texts) >= FEW) or not characters:
        return 0.0
    return float(np.log1p(characters) * distinct * (2 + rank) * (0.5 if _is_other(name) and not rank else 1))


def _label_score(name: str, values: Sequence[Any]) -> float:
    rank = _rank(name, LABEL_NAMES)
    labels = [label for value in values for label in (value if isinstance(value, list) else [value])]
    known = [str(label) for label in labels if not (label is None or label != label or label == "")]
    if not known:
        return 0.0 if _is_other(name) or labels else rank
    distinct, words = len(set(known)), np.mean([len(label.split()) for label in known])
    # Each of few rows, as in an example, may have a label of its own: then only the name tells.
    recurs = 2 <= distinct <= DISTINCT * len(known) if len(known) >= FEW else distinct >= 2 and rank > 0
    is_other = any(_STAMP.fullmatch(label) or _FRACTION.fullmatch(label) for label in known)
    if not recurs or words > LABEL_WORDS or is_other or (_is_other(name) and not rank):
        return 0.0
    return float((1 + 3 * rank) / np.log2(1 + distinct))
