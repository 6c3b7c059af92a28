"""One fold of the train texts as the test split, for cross-validation."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from potstill.core.errors import PotstillError
from potstill.data.clean import comparison_keys
from potstill.readers.tables import Origin, RawData, Table


def take_fold(raw: RawData, number: int, folds: int, seed: int) -> RawData:
    """Return the tables of a source with one fold of train as the test split, and the other folds as train.

    Folds are stratified by class, or in a multi-label task by each text's rarest label. Copies of one text are in the
    same fold. The same tables, number of folds and seed give the same folds.

    Args:
        raw: the tables.
        number: of the fold, from 1.
        folds: their number.
        seed: of the folds.

    Raises:
        PotstillError: there is a test split, nobody has labelled the texts, or a class has fewer different texts than
            there are folds.
    """
    train = raw.splits["train"]
    if "label" not in train.rows:
        raise PotstillError(f"{train.name}: no labels, which `prepare.fold` requires. Leave it out.")
    if "test" in raw.splits:
        raise PotstillError(
            f"`prepare.fold` is set, but there is a test split, {raw.splits['test'].name}. Leave one of them out."
        )
    key = comparison_keys(train.rows["text"])
    labels = train.rows["label"].groupby(key, sort=False).first()
    strata = _strata(labels, folds, train.name)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    _, chosen = list(splitter.split(labels, strata))[number - 1]
    tested = key.isin(labels.index[chosen]).to_numpy()
    return replace(raw, splits=raw.splits | {"train": _rows(train, ~tested), "test": _rows(train, tested)})


def _strata(labels: pd.Series, folds: int, name: str) -> list[Any]:
    """Return the label by which each text is stratified."""
    multi_label = labels.map(lambda label: isinstance(label, tuple)).any()
    if not multi_label:
        for label, count in Counter(labels).items():
            if count < folds:
                texts = f"{count} different text{'s' * (count != 1)}"
                raise PotstillError(
                    f"{name}: class {label!r} has {texts}, fewer than the {folds} folds of `prepare.folds`. Set fewer, "
                    "or add texts."
                )
        return labels.tolist()
    counts = Counter(part for held in labels for part in held)
    rarest = [min(held, key=lambda part: (counts[part], part), default="") for held in labels]
    sizes = Counter(rarest)
    largest = max(sizes, key=lambda part: (sizes[part], part))
    return [part if sizes[part] >= folds else largest for part in rarest]  # too few to split: join the largest


def _rows(table: Table, kept: np.ndarray) -> Table:
    """Return some rows of a table, which messages still locate."""
    origins, start = [], 0
    for origin in table.origins or [Origin(table.name, "row", range(1, len(kept) + 1))]:
        of_origin = kept[start : start + len(origin.numbers)]
        numbers = [number for number, keep in zip(origin.numbers, of_origin, strict=True) if keep]
        origins.append(replace(origin, numbers=numbers))
        start += len(origin.numbers)
    return replace(table, rows=table.rows[kept].reset_index(drop=True), origins=origins)
