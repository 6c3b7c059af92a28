"""Training the cheap things on a sample: a linear model, small students, one teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from potstill import device
from potstill.balance import majority
from potstill.baseline import Tfidf
from potstill.corpus.dataset import Dataset, targets
from potstill.corpus.split import keep
from potstill.errors import PotstillError
from potstill.evaluate.scores import mcnemar, scores
from potstill.evaluate.traits import order_sensitivity, out_of_vocabulary, vocabulary
from potstill.params.baseline import BaselineParams
from potstill.params.network import NetworkParams
from potstill.params.student import StudentParams
from potstill.runtime.decision import choose, probabilities
from potstill.runtime.decision import right as correct
from potstill.student.distil import Trained, distil, train_on_labels

SEED = 0  # of the sample
CHOOSERS = 500  # train rows that choose epochs, so that the validation split has nothing to do but to measure
SHOWN = 100  # of them, for the curve that a teacher shows while it learns
MEASURED = 1000  # validation rows
POOL = 6000  # texts that the teacher labels
FEWEST = 40  # labelled rows, below which nothing can be told
STEPS = 500  # of a student at least, however few its texts
PARTS = (4, 2, 1)  # of the sample, and of the pool: a quarter, half, all

# What is told apart. The widths are those that suited three tasks (benchmarks/README.md); the rest is params.yaml's.
CANDIDATES: dict[str, dict[str, Any]] = {
    "bag": {"architecture": "mlp", "vocab_size": 5000, "hidden": 16, "max_ngram": 2, "informative_share": 0.6},
    "bigru": {"architecture": "bigru", "vocab_size": 1150, "embedding_dim": 3, "hidden": 8, "max_ngram": 1},
    "large bigru": {"architecture": "bigru", "vocab_size": 5000, "embedding_dim": 14, "hidden": 32, "max_ngram": 1},
}
# How they learn from soft labels, where it is not as params.yaml says.
TRAINING: dict[str, dict[str, Any]] = {
    "bag": {"batch_size": 64, "learning_rate": 0.005, "weight_decay": 0.05},
    "bigru": {},
    "large bigru": {"learning_rate": 0.005, "dropout": 0.1},
}
DISTILLED_ON_PARTS = ("bag", "bigru")

Params = TypeVar("Params", bound=NetworkParams)
Answer = Callable[[list[str]], np.ndarray]
Teach = Callable[[pd.DataFrame, pd.DataFrame], Answer]


@dataclass(frozen=True)
class Sample:
    """What the measurements use of a task.

    Attributes:
        train, choosers, validation: tables with `text` and `label`; the second chooses epochs.
        others: texts whose labels are not looked at.
        stands_in: whether these are train texts, because there are no unlabelled ones.
    """

    train: pd.DataFrame
    choosers: pd.DataFrame
    validation: pd.DataFrame
    others: list[str]
    stands_in: bool


def draw(data: Dataset, rows: int) -> Sample:
    """Draw a sample of at most `rows` labelled train rows, with every class in it.

    Raises:
        PotstillError: there are too few rows, or the validation split has one class only.
    """
    classes = len(data.labels)
    # Four fifths of a small train split, so that there is something left to choose epochs by.
    number = min(rows, len(data.train) * 4 // 5)
    fewest = max(FEWEST, PARTS[0] * classes)  # a quarter holds every class
    if number < fewest:
        raise PotstillError(
            f"{number} labelled rows (--rows, or four fifths of train) of {classes} classes tell nothing: "
            f"at least {fewest} are needed"
        )
    if len(np.unique(data.targets("validation"), axis=0)) < 2:
        raise PotstillError("the validation split has one class only, which tells nothing: give `prepare.validation`")
    train, rest = _take(data.train, number, classes)
    choosers, rest = _take(rest, min(CHOOSERS, len(train) // 3), classes)
    stands_in = data.unlabelled.empty
    others = (rest if stands_in else data.unlabelled)["text"]
    others = others.sample(n=min(len(others), max(0, POOL - len(train))), random_state=SEED)
    measured, _ = _take(data.validation, MEASURED, classes)
    return Sample(train, train if choosers.empty else choosers, measured, others.tolist(), stands_in)


def _take(rows: pd.DataFrame, number: int, classes: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    number = max(number, classes)
    return (rows, rows.iloc[:0]) if number >= len(rows) else keep(rows, number, classes, SEED, "the sample")


def measure(
    data: Dataset,
    rows: int,
    baseline: BaselineParams,
    student: StudentParams,
    teach: Teach,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train linear models, students and teachers on parts of a sample; measure all on the same validation texts.

    Args:
        data: the task; its test split is not looked at.
        rows: the most labelled train rows that are used.
        baseline: how to train on hard labels; the network's kind and widths are replaced.
        student: how to distil, likewise; its epochs are those on all texts, and fewer texts get as many steps.
        teach: fine-tunes a teacher on a table; another one is there to show how far it is.
        say: is told of each model when it is measured.

    Returns:
        All that `decide` and `report` want, ready for JSON:
        `classes`, `rows` (of each table), `majority` (accuracy of always answering the most frequent), `stands_in`;
        `models`, a list of `name`, `training` (hard or distilled), `texts` and `scores.scores` each; `order`, see
        `order_sensitivity`; `unknown`, see `out_of_vocabulary`, `to_sample` and `to_all` texts of the task;
        `paired`, what `mcnemar` gives for pairs of models, first minus second.
    """
    sample = draw(data, rows)
    texts, labels = sample.validation["text"].tolist(), targets(sample.validation["label"], len(data.labels))
    thresholds = [0.5] * len(data.labels) if data.multi_label else None
    models: list[dict[str, Any]] = []
    right: dict[tuple[str, str, int], np.ndarray] = {}
    expected: np.ndarray | None = None  # what the teacher chooses

    def note(name: str, training: str, size: int, probabilities: np.ndarray, parameters: int | None = None) -> None:
        scored = scores(labels, probabilities, expected if training == "distilled" else None, thresholds)
        models.append({"name": name, "training": training, "texts": size, "parameters": parameters, **scored})
        right[name, training, size] = correct(choose(probabilities, thresholds), labels)
        say(f"{name}, {training}, {size:,} texts: {scored['accuracy']:.1%}")

    def network(name: str, training: str, size: int, trained: Trained) -> None:
        note(name, training, size, trained.student.predict_proba(texts), trained.student.parameters)

    parts = [_take(sample.train, len(sample.train) // part, len(data.labels))[0] for part in PARTS]
    device.use_threads(baseline.threads)
    for part in parts:
        note("TF-IDF", "hard", len(part), Tfidf.fit(part, baseline.C, baseline.class_weight).predict_proba(texts))
        for name in DISTILLED_ON_PARTS:
            params = _like(baseline, CANDIDATES[name], len(part), len(part))
            network(name, "hard", len(part), train_on_labels(data.labels, part, sample.choosers, params))

    # Shuffled, since a part of the pool may be a part of the sample, and a file may be sorted by class.
    pool = sample.train["text"].sample(frac=1, random_state=SEED).tolist() + sample.others
    for part in parts[-2:]:
        answer = teach(part, sample.choosers.head(SHOWN))
        logits = answer(texts)
        shares = probabilities(logits, data.multi_label)
        expected = choose(shares, thresholds)
        note("teacher", "hard", len(part), shares)
    order = order_sensitivity(answer, texts)
    logits = answer(pool)

    device.use_threads(student.threads)
    for name in CANDIDATES:
        for share in PARTS if name in DISTILLED_ON_PARTS else PARTS[-1:]:
            size = len(pool) // share
            distilled = _like(student, CANDIDATES[name] | TRAINING[name], size, len(pool))
            trained = distil(data.labels, pool[:size], logits[:size], sample.choosers, distilled)
            network(name, "distilled", size, trained)

    half, whole = len(parts[-2]), len(parts[-1])
    few, many = len(pool) // PARTS[0], len(pool)
    pairs = {
        "teacher, TF-IDF": (("teacher", "hard", whole), ("TF-IDF", "hard", whole)),
        "teacher, on half": (("teacher", "hard", whole), ("teacher", "hard", half)),
        "bigru, bag": (("bigru", "distilled", many), ("bag", "distilled", many)),
        "large bigru, bigru": (("large bigru", "distilled", many), ("bigru", "distilled", many)),
    }
    for name in CANDIDATES:
        pairs[f"{name}, teacher"] = (name, "distilled", many), ("teacher", "hard", whole)
        pairs[f"{name}, TF-IDF"] = (name, "distilled", many), ("TF-IDF", "hard", whole)
    for name in DISTILLED_ON_PARTS:
        pairs[f"{name}, on a quarter"] = (name, "distilled", many), (name, "distilled", few)
        pairs[f"{name}, on labels"] = (name, "distilled", many), (name, "hard", whole)
    known = vocabulary(sample.train["text"].tolist())
    everything = data.train["text"].tolist() + data.unlabelled["text"].tolist()
    return {
        "classes": len(data.labels),
        "rows": {
            "train": len(data.train),
            "unlabelled": len(data.unlabelled),
            "sample": whole,
            "choosers": len(sample.choosers),
            "validation": len(texts),
            "pool": many,
        },
        "stands_in": sample.stands_in,
        "majority": round(majority(labels), 6),
        "models": models,
        "order": order,
        "unknown": {
            "to_sample": out_of_vocabulary(known, texts),
            "to_all": out_of_vocabulary(vocabulary(everything), texts),
        },
        "paired": {name: mcnemar(right[first], right[second]) for name, (first, second) in pairs.items()},
    }


def _like(base: Params, changes: dict[str, Any], size: int, whole: int) -> Params:
    """A section with other values, which are checked, and as many steps for `size` texts as for the `whole`."""
    changed = type(base).model_validate(base.model_dump() | {"embedding_rows": None} | changes)
    steps = max(STEPS, base.epochs * -(-whole // changed.batch_size))
    return changed.model_copy(update={"epochs": -(-steps // -(-size // changed.batch_size))})
