"""The types of the JSON files with metrics, to check them before they are reported."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # typing's own is too old for pydantic before Python 3.12

from potstill.core import files

Number = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Accuracy(TypedDict):
    """An accuracy with its 95% interval."""

    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share


class Trial(Accuracy):
    """A student of the stage `ablate`."""

    texts: Annotated[int, Field(gt=0)]
    validation_accuracy: Share


class Vocabulary(TypedDict):
    """The stage `ablate`, by how the vocabulary was chosen."""

    frequent: Trial


class Ablation(TypedDict, total=False):
    """The stage `ablate`."""

    sources: dict[str, Trial]
    pool: dict[str, Trial]
    architectures: dict[str, Trial]
    hard: dict[str, Trial]
    tfidf: dict[str, Trial]
    vocabulary: Vocabulary


class Sized(Accuracy):
    """A model, and the metrics by which experiments are compared."""

    kind: Literal["baseline", "teacher", "student"]
    macro_f1: Share
    bytes: Count | None
    parameters: Annotated[int, Field(gt=0)] | None
    matthews: NotRequired[Number]
    micro_f1: NotRequired[Share]
    agreement: NotRequired[Share | None]
    relative: NotRequired[Amount | None]


class Score(Sized):
    """A model on the test split."""

    calibration_error: Share


def _with_students(models: dict[str, Score]) -> dict[str, Score]:
    for name in ("student", *(name for name in ("tfidf", "hard") if name in models)):  # none without labels
        if name not in models or models[name]["parameters"] is None:
            raise ValueError(f"no {name}, or no `parameters` of it")
    return models


Scores = Annotated[dict[str, Score], AfterValidator(_with_students)]


class WordOrder(TypedDict):
    """The word-order sensitivity of a model."""

    wos: Amount


class OutOfVocabularyShares(TypedDict):
    """The shares of out-of-vocabulary words, and of texts with one, in the test split."""

    words: Share
    texts: Share


class OutOfVocabulary(TypedDict):
    """Out-of-vocabulary words of the test split, by the texts that the vocabulary is from."""

    train: OutOfVocabularyShares
    train_and_unlabelled: OutOfVocabularyShares


class TaskProfile(TypedDict):
    """Properties of the task."""

    word_order: dict[str, WordOrder | None]
    out_of_vocabulary: OutOfVocabulary


Decision = Literal["ship", "do not ship", "cannot tell yet"]


class Reason(TypedDict):
    """A reason for the verdict."""

    status: Literal["met", "not met", "undecided", "remark"]
    text: str


class Step(TypedDict):
    """What to do next."""

    text: str
    command: str


class Verdict(TypedDict):
    """The decision whether the student should ship, and what to do next."""

    decision: Decision
    reasons: list[Reason]
    next_steps: list[Step]


class HeldOut(TypedDict):
    """Unlabelled texts that no student learned from, of the stage `export`.

    `agree` is for how many the student predicts its teacher's label; `differs_in` are the traits in which they differ
    significantly from the validation texts, see `runtime.profile.traits`, separated by commas.
    """

    texts: Count
    agree: Count
    differs_in: str


class Rung(TypedDict):
    """A candidate for the student, of the stage `student`; one that was not trained has no numbers.

    The difference is the student's validation accuracy minus its teacher's, with its 95% interval; None if the teacher
    has no predictions for validation.
    """

    rung: str
    architecture: str
    parameters: Count | None
    bytes: Annotated[int, Field(gt=0)] | None
    validation_accuracy: Share | None
    difference: Number | None
    difference_low: Number | None
    difference_high: Number | None
    status: Literal["chosen", "too inaccurate", "stopped early", "not needed", "unavailable"]
    note: str | None


def _with_choice(ladder: list[Rung]) -> list[Rung]:
    chosen = [rung for rung in ladder if rung["status"] == "chosen"]
    if len(chosen) != 1 or chosen[0]["bytes"] is None or chosen[0]["validation_accuracy"] is None:
        raise ValueError("not one chosen rung, or no `bytes` or `validation_accuracy` of it")
    return ladder


Ladder = Annotated[list[Rung], AfterValidator(_with_choice)]


class Timing(TypedDict):
    """The speed of a model."""

    texts_per_second: Annotated[Number, Field(gt=0)]
    milliseconds_per_text: Amount


class Resources(TypedDict):
    """The resources that a stage used."""

    seconds: Amount
    core_seconds: Amount
    peak_megabytes: Amount


Timings = dict[str, Timing]
Shares = dict[str, Share]

# What the names of accuracies begin with, by split.
_PREFIXES = {"test": "accuracy", "validation": "validation_accuracy"}


def with_agreement(values: dict[str, Any], by_teacher: Collection[str]) -> dict[str, Any]:
    """Return metrics with another name for accuracies on splits that nobody has labelled: `agreement` with the teacher.

    Args:
        values: the metrics, nested dictionaries.
        by_teacher: the splits, see `Dataset.by_teacher`.
    """
    prefixes = tuple(_PREFIXES[split] for split in by_teacher)
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):  # whose key may be the name of a model
            renamed[name] = with_agreement(value, by_teacher)
        else:
            renamed[name.replace("accuracy", "agreement") if name.startswith(prefixes) else name] = value
    return renamed


def with_accuracy(values: Any) -> Any:
    """Return metrics with `agreement` as the accuracy where there is none, which undoes `with_agreement`."""
    if not isinstance(values, dict):
        return values
    found = {name: with_accuracy(value) for name, value in values.items()}
    numbers = {name: value for name, value in found.items() if not isinstance(value, dict)}
    return {name.replace("agreement", "accuracy"): value for name, value in numbers.items()} | found


def check(kind: Any, value: Any, *keys: str) -> Any:
    """Return a value that was read from JSON after checking its type; keys that are not in the type are not checked.

    Args:
        kind: the type, one of those above.
        value: the value.
        keys: the keys under which it was found, for the message.

    Raises:
        ValueError: it is of another type; the message names the key.
    """
    try:
        TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, (*keys, *first["loc"])))
        raise ValueError(f"`{where}`: {first['msg']} (found: {json.dumps(first['input'])[:50]})") from None
    return value


def read(kind: Any, path: Path, *keys: str) -> Any:
    """Read a JSON file, or the value under nested keys, and check its type; see `with_accuracy`.

    Args:
        kind: the type, one of those above.
        path: the file.
        keys: nested.

    Raises:
        PotstillError: the file is missing, not JSON, or has a value of another type there; the message names the file.
    """
    value = with_accuracy(files.read_json(path, *keys, kind=object))
    with files.reading(path):
        return check(kind, value, *keys)
