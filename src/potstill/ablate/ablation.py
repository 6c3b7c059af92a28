"""Ablation: the baseline's network, trained on subsets of what a student learns from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from potstill.ablate.params import AblateParams
from potstill.baseline.network import train_on_labels
from potstill.baseline.params import BaselineParams
from potstill.core.labels import accuracy, is_correct, predict_labels
from potstill.data.dataset import Dataset, targets
from potstill.data.sources import VARIANTS
from potstill.data.transfer import TransferSet
from potstill.evaluate.metrics.scores import interval
from potstill.evaluate.metrics.thresholds import fit_thresholds
from potstill.runtime.model import Classifier
from potstill.scoring.tfidf import Tfidf
from potstill.student.distil import distil
from potstill.student.params import DistilParams, NetworkParams

# The sources of the transfer set in the order in which they are added: real texts, then augmented ones.
STEPS = (
    ("train", ("train",)),
    ("unlabelled", ("unlabelled",)),
    ("variants", VARIANTS),
    ("generated", ("generated",)),
)


# The result of a trial: the number of texts it was trained on, its parameters, and its accuracy with 95% CI.
Row = dict[str, float]
KEYS = ("texts", "parameters", "validation_accuracy", "accuracy", "accuracy_low", "accuracy_high")  # of a `Row`


@dataclass(frozen=True)
class Trial:
    """A model to train.

    Attributes:
        group: `sources`, `vocabulary`, `architectures` or `pool` for a distilled network; `hard` or `tfidf` for a model
            trained on hard labels.
        name: the name of the trial in its group.
        changes: parameters of the network that differ from the baseline's.
        sources: the sources of the transfer set that are used; None for all.
        share: the fraction of the transfer set, or of the hard labels, that is used.
        model: `soft` for a network distilled from soft labels; `hard` or `tfidf`.
    """

    group: str
    name: str
    changes: dict[str, Any]
    sources: tuple[str, ...] | None = None
    share: float = 1.0
    model: Literal["soft", "hard", "tfidf"] = "soft"

    @property
    def key(self) -> str:
        """What determines the result: trials of several groups may be the same."""
        return json.dumps([self.changes, self.sources, self.share, self.model])


def plan(
    params: AblateParams, baseline: BaselineParams, present: Sequence[str], is_labelled: bool = True
) -> list[Trial]:
    """Return the trials of an ablation.

    Args:
        params: what is varied.
        baseline: the network.
        present: the sources that the transfer set has texts of.
        is_labelled: whether train has labels, so that models can be trained on them.
    """
    trials = []
    added: tuple[str, ...] = ()
    for name, sources in STEPS:
        if params.sources and (new := tuple(source for source in sources if source in present)):
            added += new
            trials.append(Trial("sources", name, {}, None if set(added) == set(present) else added))
    if params.vocabulary:
        trials.append(Trial("vocabulary", "frequent", {"informative_share": 0.0}))
    if params.architectures:
        for name in dict.fromkeys((baseline.architecture, *params.architectures)):
            changes = {} if name == baseline.architecture else {"architecture": name, "max_ngram": 1}
            trials.append(Trial("architectures", name, changes))
    if params.transfer_shares:
        trials += [Trial("pool", f"{share:g}", {}, share=share) for share in (*sorted(params.transfer_shares), 1.0)]
    for share in sorted(params.label_shares) if is_labelled else ():
        trials += [Trial(model, f"{share:g}", {}, share=share, model=model) for model in ("hard", "tfidf")]
    return trials


def run(trial: Trial, data: Dataset, transfer: TransferSet, params: AblateParams, baseline: BaselineParams) -> Row:
    """Train and test one model on its part of the labelled texts or of the whole transfer set."""
    if trial.model == "soft":
        subset = _transfer_subset(trial, transfer, baseline.seed)
        settings = _student_params(params, baseline, trial.changes, len(subset.texts))
        distilled = distil(data.labels, subset.texts, subset.logits, data.validation, settings)
        return _row(len(subset.texts), distilled.student, distilled.best["validation_accuracy"], data)
    train = _labelled_subset(data, trial.share, baseline.seed)
    if trial.model == "tfidf":
        tfidf = Tfidf.fit(train, baseline.C, baseline.class_weight)
        probabilities = tfidf.predict_proba(data.validation["text"].tolist())
        return _row(len(train), tfidf, accuracy(probabilities, data.targets("validation"), threshold=0.5), data)
    epochs = round(baseline.epochs * len(data.train) / len(train))  # as many steps as on all labels
    trained = train_on_labels(data.labels, train, data.validation, baseline.model_copy(update={"epochs": epochs}))
    return _row(len(train), trained.student, trained.best["validation_accuracy"], data)


def is_row(value: Any) -> bool:
    """Return whether a value read from JSON is a `Row`."""
    return (
        isinstance(value, dict)
        and set(value) == set(KEYS)
        and all(isinstance(number, int | float) for number in value.values())
    )


def _transfer_subset(trial: Trial, transfer: TransferSet, seed: int) -> TransferSet:
    if trial.sources is not None:
        transfer = transfer.subset(np.isin(transfer.sources, trial.sources))
    order = np.random.default_rng(seed).permutation(len(transfer.texts))
    return transfer.subset(order[: _count(trial.share, len(order))])


def _labelled_subset(data: Dataset, share: float, seed: int) -> pd.DataFrame:
    """Draw a share of the train rows at random, with at least one row of each class."""
    train = data.train.sample(frac=1, random_state=seed)
    labels = targets(train["label"], len(data.labels))
    one_hot = labels if labels.ndim == 2 else labels[:, None] == np.arange(len(data.labels))
    first = train.index[np.unique(one_hot.argmax(0))]
    others = train.index.difference(first, sort=False)
    return train.loc[[*first, *others][: max(len(first), _count(share, len(train)))]]


def _count(share: float, total: int) -> int:
    return max(1, round(share * total))


def _student_params(
    params: AblateParams, baseline: BaselineParams, changes: dict[str, Any], texts: int
) -> DistilParams:
    """Return the baseline's network as a student that takes `ablate.steps` steps, however few its texts."""
    network = {key: getattr(baseline, key) for key in NetworkParams.model_fields}
    training = {
        "epochs": max(2, round(params.steps * params.batch_size / texts)),
        "batch_size": params.batch_size,
        "learning_rate": params.learning_rate,
        "dropout": 0.0,
        "word_dropout": 0.0,
    }
    settings = network | training | changes
    return DistilParams(
        **settings, subwords=False, layers=0, exclude_identifiers=False, sources=None, loss="kl", temperature=1.0
    )


def _row(texts: int, model: Tfidf | Classifier, validation_accuracy: float, data: Dataset) -> Row:
    test, validation = (model.predict_proba(data.split(split)["text"].tolist()) for split in ("test", "validation"))
    thresholds = fit_thresholds(validation, data.targets("validation")) if data.multi_label else None
    correct = is_correct(predict_labels(test, thresholds), data.targets("test"))
    low, high = interval(int(correct.sum()), len(correct))
    return {
        "texts": texts,
        "parameters": model.parameters,
        "validation_accuracy": round(validation_accuracy, 6),
        "accuracy": round(float(correct.mean()), 6),
        "accuracy_low": low,
        "accuracy_high": high,
    }
