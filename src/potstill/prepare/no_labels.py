"""Texts that nobody has labelled: the names of the classes are given, and the splits have no labels but maybe test."""

from dataclasses import replace

import pandas as pd

from potstill.core import naming
from potstill.core.errors import PotstillError
from potstill.data.dataset import NO_LABEL
from potstill.prepare.params import PrepareParams
from potstill.readers.problems import Problems
from potstill.readers.request import quoted
from potstill.readers.tables import RawData, Table, class_name


def encode(raw: RawData, params: PrepareParams) -> tuple[list[str], dict[str, Table]]:
    """Give every text the label `NO_LABEL`, except for a test split with labels, whose texts get ids.

    Args:
        raw: labels are strings; the splits without labels lack the column.
        params: the names of the classes, in the order of their ids; null for those of the source.

    Returns:
        The names of the classes, and the tables with int64 ids as labels.

    Raises:
        PotstillError: a name is given twice or cannot be used, or a label of the test split is not one of the names.
    """
    labels = [class_name(name) or name for name in params.label_names or raw.labels or []]
    if fault := naming.find_fault(labels):
        raise PotstillError(f"`prepare.label_names`: {fault}")
    return labels, {
        split: _with_ids(table, labels) if "label" in table.rows else _with_none(table)
        for split, table in raw.splits.items()
    }


def _with_none(table: Table) -> Table:
    return replace(table, rows=table.rows.assign(label=pd.Series(NO_LABEL, table.rows.index, "int64")))


def _with_ids(table: Table, labels: list[str]) -> Table:
    found = table.rows["label"]
    ids = {name: id_ for id_, name in enumerate(labels)}
    if not set(found) & set(labels):  # they may be ids themselves
        ids = {str(id_): id_ for id_ in range(len(labels))}
    problems = Problems()
    for i, label in enumerate(found):
        if label not in ids:
            fault = f"has the label {quoted(label)}, which `prepare.label_names` does not list. Add it there."
            problems.add(table.location(i), fault)
    problems.check()
    return replace(table, rows=table.rows.assign(label=found.map(ids).astype("int64")))
