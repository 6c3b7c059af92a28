"""Labels that were given after the first run: the files `to_label.csv` and `suspects.csv` of a report, filled in.

They are added after the splits are made, so that no text moves between splits.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from potstill.core.errors import join_names
from potstill.data.clean import comparison_keys
from potstill.data.dataset import SPLITS
from potstill.readers.problems import Problems
from potstill.readers.request import quoted
from potstill.readers.tables import Table


def encode(given: Table, labels: Sequence[str], multi_label: bool) -> pd.DataFrame:
    """Return one row per text, with ids as labels; of a text that was labelled twice, the last row counts.

    Args:
        given: the rows that have a label, by name.
        labels: the names of the classes.
        multi_label: whether a label is a tuple of them.

    Raises:
        PotstillError: a label is not the name of a class.
    """
    ids, problems = {name: id_ for id_, name in enumerate(labels)}, Problems()
    coded = []
    for i, found in enumerate(given.rows["label"]):
        names = (found,) if isinstance(found, str) else found
        for name in names:
            if name not in ids:
                fault = f"has the label {quoted(name)}, which no row of train has (found: {join_names(labels)})"
                problems.add(given.location(i), f"{fault}. Correct it, or add texts of a new class to the train file.")
        coded.append(tuple(sorted(ids.get(name, -1) for name in names)))
    problems.check()
    kind, values = (object, coded) if multi_label else ("int64", [ids_[0] for ids_ in coded])
    rows = given.rows.assign(label=pd.Series(values, given.rows.index, kind))
    return rows[~comparison_keys(rows["text"]).duplicated(keep="last")]


def apply(splits: dict[str, pd.DataFrame], given: pd.DataFrame) -> dict[str, int]:
    """Set the labels of all copies of the given texts in every split, and add the other texts to train.

    Args:
        splits: the columns `text` and `label` of each split; changed in place.
        given: the result of `encode`.

    Returns:
        The number of rows whose label changed, by split, and of those that were `added` to train.
    """
    labels = pd.Series(given["label"].to_numpy(), comparison_keys(given["text"]), dtype=given["label"].dtype)
    counts, known = {}, set()
    for split in SPLITS:
        rows = splits[split]
        keys = comparison_keys(rows["text"])
        has_label = keys.isin(labels.index).to_numpy(bool)
        known |= set(keys[has_label])
        new = rows["label"].to_numpy(copy=True)
        new[has_label] = labels.loc[keys[has_label]].to_numpy()
        counts[split] = int(np.sum(new != rows["label"].to_numpy()))
        splits[split] = rows.assign(label=pd.Series(new, rows.index, rows["label"].dtype))
    added = given[~labels.index.isin(known)]
    splits["train"] = pd.concat([splits["train"], added], ignore_index=True)
    return {**counts, "added": len(added)}


def describe(counts: Mapping[str, int]) -> str:
    """Return a line for what `apply` returned."""
    changed = join_names([f"{counts[split]} in {split}" for split in SPLITS])
    return f"label files: {counts['added']} texts added to train; labels changed: {changed}"
