"""What brings what: the baseline's network, trained on more and more of what a student has."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.baseline import Tfidf
from potstill.corpus.dataset import Dataset, targets
from potstill.evaluate.scores import interval
from potstill.evaluate.thresholds import fit
from potstill.params.ablate import AblateParams
from potstill.params.baseline import BaselineParams
from potstill.params.network import NetworkParams
from potstill.params.student import StudentParams
from potstill.pool.sources import VARIANTS
from potstill.runtime.decision import accuracy, choose, right
from potstill.student.distil import distil, train_on_labels
from potstill.student.transfer import TransferSet

# The transfer set, one kind of text after the other: what was there, then what is made of it.
STEPS = (
    ("train", ("train",)),
    ("unlabelled", ("unlabelled",)),
    ("variants", VARIANTS),
    ("generated", ("generated",)),
)


ROW = {"texts", "parameters", "validation_accuracy", "accuracy", "accuracy_low", "accuracy_high"}


@dataclass(frozen=True)
class Trial:
    """A model to train.

    Attributes:
        group: the question that it belongs to: `sources`, `words`, `architectures`, `pool` or `labels`.
        name: its name there.
        changes: keys of the network that are not the baseline's.
        sources: of the transfer set; None for all.
        share: of the transfer set, or of the labels, that is used.
        model: `soft`, `hard` or `tfidf`.
    """

    group: str
    name: str
    changes: dict[str, Any]
    sources: tuple[str, ...] | None = None
    share: float = 1.0
    model: str = "soft"

    @property
    def work(self) -> str:
        """What is trained. One training may answer two questions."""
        return json.dumps([self.changes, self.sources, self.share, self.model])


def plan(params: AblateParams, baseline: BaselineParams, present: Sequence[str]) -> list[Trial]:
    """The trials that answer what `ablate` asks.

    Args:
        params: the section `ablate`.
        baseline: the network that is trained.
        present: the sources that the transfer set has texts of.
    """
    trials = []
    there: tuple[str, ...] = ()
    for name, sources in STEPS:
        if params.sources and (new := tuple(source for source in sources if source in present)):
            there += new
            trials.append(Trial("sources", name, {}, None if set(there) == set(present) else there))
    if params.vocabulary:
        trials.append(Trial("words", "frequent", {"informative_share": 0.0}))
    if params.architectures:
        trials.append(Trial("architectures", baseline.architecture, {}))
    for name in dict.fromkeys(params.architectures):
        if name != baseline.architecture:
            trials.append(Trial("architectures", name, {"architecture": name, "max_ngram": 1}))
    if params.transfer_shares:
        trials += [Trial("pool", f"{share:g}", {}, share=share) for share in (*sorted(params.transfer_shares), 1.0)]
    for share in sorted(params.label_shares):
        trials += [Trial("labels", f"{model} {share:g}", {}, share=share, model=model) for model in ("hard", "tfidf")]
    return trials


def run(
    trial: Trial, data: Dataset, transfer: TransferSet, params: AblateParams, baseline: BaselineParams
) -> dict[str, Any]:
    """Train one model, and test it.

    Returns:
        `texts` that it learned from, `parameters`, `validation_accuracy` (of the epoch that it chose), and
        `accuracy` on the test split with its interval, `accuracy_low` and `accuracy_high`.
    """
    rng = np.random.default_rng(baseline.seed)
    if trial.model == "soft":
        kept = np.ones(len(transfer.texts), bool) if trial.sources is None else np.isin(transfer.sources, trial.sources)
        part = transfer.subset(kept)
        part = part.subset(np.sort(rng.permutation(len(part.texts))[: _share(trial.share, len(part.texts))]))
        settings = _student(params, baseline, trial.changes, len(part.texts))
        trained = distil(data.labels, part.texts, part.logits, data.validation, settings)
        texts = len(part.texts)
    else:
        train = data.train.sample(frac=1, random_state=baseline.seed)
        # A row of each class, so that none is unknown; then the rest at random.
        known = targets(train["label"], len(data.labels))
        has = known if known.ndim == 2 else known[:, None] == np.arange(len(data.labels))
        first = train.index[np.unique(has.argmax(0))]
        rows = [*first, *train.index.difference(first, sort=False)][: max(len(first), _share(trial.share, len(train)))]
        train = train.loc[rows]
        texts = len(train)
        if trial.model == "tfidf":
            tfidf = Tfidf.fit(train, baseline.C, baseline.class_weight)
            validation = tfidf.predict_proba(data.validation["text"].tolist())
            chosen = accuracy(validation, data.targets("validation"), even=0.5)
            return _row(texts, tfidf.parameters, chosen, tfidf, data)
        epochs = round(baseline.epochs * len(data.train) / texts)  # as many steps as on all of them
        trained = train_on_labels(data.labels, train, data.validation, baseline.model_copy(update={"epochs": epochs}))
    return _row(texts, trained.student.parameters, trained.best["validation_accuracy"], trained.student, data)


def is_row(value: Any) -> bool:
    """Whether something is what `run` returns."""
    return (
        isinstance(value, dict)
        and set(value) == ROW
        and all(isinstance(number, int | float) for number in value.values())
    )


def _share(share: float, total: int) -> int:
    return max(1, round(share * total))


def _student(params: AblateParams, baseline: BaselineParams, changes: dict[str, Any], texts: int) -> StudentParams:
    """The baseline's network as a student that makes `ablate.steps` steps, however few texts there are."""
    network = {key: getattr(baseline, key) for key in NetworkParams.model_fields}
    training = {
        "epochs": max(2, round(params.steps * params.batch_size / texts)),
        "batch_size": params.batch_size,
        "learning_rate": params.learning_rate,
        "dropout": 0.0,
        "word_dropout": 0.0,
    }
    loss = {"sources": None, "loss": "kl", "temperature": 1.0}
    return StudentParams(**network | training | loss | changes)


def _row(texts: int, parameters: int, validation: float, model: Any, data: Dataset) -> dict[str, Any]:
    found, held_out = (model.predict_proba(data.split(split)["text"].tolist()) for split in ("test", "validation"))
    thresholds = fit(held_out, data.targets("validation")) if data.multi_label else None
    correct = right(choose(found, thresholds), data.targets("test"))
    low, high = interval(int(correct.sum()), len(correct))
    return {
        "texts": texts,
        "parameters": parameters,
        "validation_accuracy": round(validation, 6),
        "accuracy": round(float(correct.mean()), 6),
        "accuracy_low": low,
        "accuracy_high": high,
    }
