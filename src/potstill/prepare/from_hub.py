"""Read a data set of the Hugging Face hub, or one that is saved on disk in the hub's format."""

import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from potstill.core.errors import PotstillError, exhausted, first_line
from potstill.data.dataset import SPLITS
from potstill.prepare.params import Hub, PrepareParams
from potstill.readers import formats, parquet, propose
from potstill.readers.request import BadRows, Request
from potstill.readers.tables import RawData, Table, check_ids, find_split, make_table

if TYPE_CHECKING:
    import datasets

# The types of the values that are looked at to propose columns.
_SIMPLE = ("string", "large_string", "bool", "int8", "int16", "int32", "int64", "float32", "float64")


def read(params: PrepareParams) -> RawData:
    """Load the data set that `prepare.hub` names; take the names of classes from its `ClassLabel`, if it has one.

    Raises:
        PotstillError: no data set is named, it or a split of it does not exist, the hub cannot be reached, or a table
            has no such column, or a row without a text or label.
    """
    if params.hub.dataset is None:
        raise PotstillError("`prepare.hub.dataset` is null. Set it to a data set, such as dair-ai/emotion.")
    if params.label is None and params.label_names is None:
        raise PotstillError("`prepare.label_names`: null, as `prepare.label` is. List the names of the classes.")
    name, found = params.hub.dataset, _load(params.hub, params.hub.dataset)
    splits, labels = {}, None
    for split in SPLITS:
        key = f"prepare.{split}"
        chosen = find_split(split, [(known, known) for known in found], getattr(params, split), key)
        if chosen is not None:
            table = _split(found, chosen, key, name)
            named, column = f"{name} ({chosen})", params.label_of(split)
            if column is None:
                splits[split] = make_table(_frame(table, named, params.text), named)
            else:
                splits[split] = _labelled(table, named, params, column, key)
            if split == "train" and params.label is not None:
                labels = _class_names(table, params.label)
    if "train" not in splits:
        raise PotstillError(f"{name}: no split 'train' (found: {', '.join(found)}). Set `prepare.train`.")
    unlabelled = []
    for chosen in params.unlabelled:
        frame = _frame(_split(found, chosen, "prepare.unlabelled", name), f"{name} ({chosen})", params.text)
        unlabelled.append(make_table(frame, f"{name} ({chosen})"))
    if labels is not None:  # two names that are one number, such as 1.1 and 1.10, matter only if both are used
        written = {label for table in splits.values() for label in table.written}
        labels = [label for label in labels if label.strip() in written]
    return RawData(splits, unlabelled, labels)


def _load(hub: Hub, name: str) -> "dict[str, datasets.Dataset]":
    """Load the splits of a data set by their names."""
    folder = Path(name)
    is_local = folder.is_dir()
    if not is_local and name.startswith((".", "/", "~")):
        raise PotstillError(f"{folder}: no such folder. Set `prepare.hub.dataset` to a folder or a hub id.")
    offline = not is_local and not _is_reachable()
    if offline:
        # Before the import, which reads it: otherwise `datasets` retries for 25 s (5.2), then uses its cache.
        os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    try:
        if is_local and ((folder / "dataset_dict.json").exists() or (folder / "state.json").exists()):
            loaded = datasets.load_from_disk(name)
        else:
            loaded = datasets.load_dataset(name, hub.config, revision=hub.revision)
    except Exception as error:  # a damaged folder raises errors of any type
        if exhausted(error):
            raise
        if offline:
            raise PotstillError(
                f"{name}: it is not in the local cache, and the Hugging Face hub cannot be reached. Download its files "
                "elsewhere and set `prepare.source=files`, or set HF_ENDPOINT to a mirror."
            ) from None
        raise PotstillError(
            f"{name}: it cannot be loaded ({first_line(error)}). Check `prepare.hub.dataset`, `.config`, `.revision`."
        ) from None
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _is_reachable() -> bool:
    """Return whether the hub answers, whatever the answer."""
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _split(splits: "dict[str, datasets.Dataset]", chosen: str, key: str, name: str) -> "datasets.Dataset":
    if chosen not in splits:
        raise PotstillError(f"{name}: no split {chosen!r} (found: {', '.join(splits)}). Set `{key}`.")
    return splits[chosen]


def _frame(table: "datasets.Dataset", name: str, texts: list[str], label: str | None = None) -> pd.DataFrame:
    """Return the columns `text` and, if it is named, `label`, with values as they are read from Parquet."""
    wanted = texts if label is None else [*texts, label]
    if missing := [column for column in wanted if column not in table.column_names]:
        keys = dict.fromkeys(texts, "prepare.text") | ({} if label is None else {label: "prepare.label"})
        first = _first_values(table)

        def advise(missing: Sequence[str]) -> str:
            return propose.sentence(missing, first, keys, propose.parameter)

        raise Request(name, wanted, BadRows(), "row", advise=advise).missing_columns(missing, table.column_names)
    arrow = formats.pyarrow()
    # Other columns, such as images, are not decoded.
    found = table.select_columns(list(dict.fromkeys(wanted))).with_format("arrow")[:]
    for text in texts:
        parquet.check(found.schema.field(text).type, name, text)
    held = parquet.joined([found.column(text).cast(arrow.string()) for text in texts])
    values = {"text": held.to_pylist()}
    if label is not None:
        parquet.check_values(found.schema.field(label).type, name, label)
        values["label"] = [value for chunk in found.column(label).chunks for value in parquet.values(chunk, arrow)]
    return pd.DataFrame(values, dtype=object)


def _first_values(table: "datasets.Dataset") -> dict[str, list[Any]]:
    """Return the first values of the columns of strings and numbers."""
    simple = [name for name, kind in table.features.items() if getattr(kind, "dtype", None) in _SIMPLE]
    return table.select_columns(simple)[: propose.ROWS] if simple else {}


def _class_names(table: "datasets.Dataset", column: str) -> list[str] | None:
    """Return the names of a `ClassLabel`'s ids, or of those in a list of them."""
    kind = table.features.get(column)
    return getattr(getattr(kind, "feature", kind), "names", None)


def _labelled(table: "datasets.Dataset", name: str, params: PrepareParams, column: str, key: str) -> Table:
    frame = _frame(table, name, params.text, column)
    names = _class_names(table, column)
    if names is not None and len(frame):
        found = frame["label"]
        if all(id_ == -1 for id_ in found):
            raise PotstillError(f"{name}: all labels are -1, so they are not published. Set `{key}` to another split.")
        if params.multi_label:
            check_ids(found, name)  # here, as `make_table` gets the names
        name_of = dict(enumerate(names))
        frame["label"] = pd.Series(
            [[name_of.get(id_) for id_ in ids] if isinstance(ids, list) else name_of.get(ids) for ids in found],
            frame.index,
            dtype=object,
        )
    return make_table(frame, name, params.multi_label)
