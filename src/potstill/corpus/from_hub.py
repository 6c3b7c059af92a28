"""A data set of the Hugging Face hub, or one that lies on disk in the hub's form."""

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from potstill.bulk import formats, parquet
from potstill.corpus.dataset import SPLITS
from potstill.corpus.tables import Raw, Table, by_name, check_ids, columns
from potstill.errors import PotstillError, exhausted, first_line
from potstill.params.prepare import Hub, PrepareParams

if TYPE_CHECKING:
    import datasets


def read(params: PrepareParams) -> Raw:
    """Load the data set that `prepare.hub` names; names of classes come from its `ClassLabel`, if any.

    Raises:
        PotstillError: no data set is named, it or a split of it does not exist, the hub cannot be
            reached, or a table lacks a column, a text or a label.
    """
    name, there = _load(params.hub)
    splits = {}
    labels = None
    for split in SPLITS:
        key = f"prepare.{split}"
        chosen = by_name(split, [(known, known) for known in there], getattr(params, split), key)
        if chosen is not None:
            table = _split(there, chosen, key, name)
            splits[split] = _labelled(table, f"{name} ({chosen})", params, key)
            if split == "train":
                labels = _names(table, params)
    if "train" not in splits:
        raise PotstillError(f"{name} has no split `train` (it has: {', '.join(there)}): set `prepare.train`")
    unlabelled = [
        columns(_frame(_split(there, chosen, "prepare.unlabelled", name), f"{name} ({chosen})", params.text),
                f"{name} ({chosen})", params.text, None)
        for chosen in params.unlabelled
    ]  # fmt: skip
    if labels is not None:  # two names that are one number, such as 1.1 and 1.10, matter only where both are used
        written = {label for table in splits.values() for label in table.written}
        labels = [label for label in labels if label.strip() in written]
    return Raw(splits, unlabelled, labels)


def _load(hub: Hub) -> tuple[str, dict[str, Any]]:
    if hub.dataset is None:
        raise PotstillError("`prepare.hub.dataset` is null: name a data set, such as dair-ai/emotion")
    folder = Path(hub.dataset)
    local = folder.is_dir()
    if not local and hub.dataset.startswith((".", "/", "~")):
        raise PotstillError(f"{folder} does not exist: set `prepare.hub.dataset` to a folder or a hub id")
    offline = not local and not _reachable()
    if offline:
        # Read when `datasets` is imported. Without it, the library tries for half a minute; with it,
        # what was downloaded earlier is still found.
        os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    try:
        if local and ((folder / "dataset_dict.json").exists() or (folder / "state.json").exists()):
            loaded = datasets.load_from_disk(hub.dataset)
        else:
            loaded = datasets.load_dataset(hub.dataset, hub.config, revision=hub.revision)
    except Exception as error:  # a damaged folder has errors of any type
        if exhausted(error):
            raise
        if offline:
            raise PotstillError(
                f"{hub.dataset} is not in the local cache and the Hugging Face hub cannot be reached: "
                "download its files elsewhere and use `prepare.source=files`, or set HF_ENDPOINT to a mirror"
            ) from None
        raise PotstillError(
            f"{hub.dataset} cannot be loaded: {first_line(error)}: check `prepare.hub.dataset`, `.config` and `.revision`"
        ) from None
    return hub.dataset, dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _reachable() -> bool:
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return True  # it answered
    except (OSError, ValueError):
        return False
    return True


def _split(there: dict[str, Any], chosen: str, key: str, name: str) -> "datasets.Dataset":
    if chosen not in there:
        raise PotstillError(f"{name} has no split {chosen!r} (it has: {', '.join(there)}): set `{key}`")
    return there[chosen]


def _frame(table: "datasets.Dataset", name: str, text: str, label: str | None = None) -> pd.DataFrame:
    """The columns as they are read from Parquet."""
    # Names only where a column is missing, which `columns` then reports; pictures stay undecoded.
    wanted = list(dict.fromkeys([text] if label is None else [text, label]))
    if not set(wanted) <= set(table.column_names):
        return pd.DataFrame(columns=table.column_names)
    arrow = formats.pyarrow()
    found = table.select_columns(wanted).with_format("arrow")[:]
    parquet.check(found.schema.field(text).type, name, text)
    if label is not None:
        parquet.check_values(found.schema.field(label).type, name, label)
    read = {
        column: [value for chunk in found.column(column).chunks for value in parquet.values(chunk, arrow)]
        for column in wanted
    }
    return pd.DataFrame(read, dtype=object)


def _names(table: "datasets.Dataset", params: PrepareParams) -> list[str] | None:
    """The names of a `ClassLabel`'s ids, or of those in a list of them."""
    kind = table.features.get(params.label)
    return getattr(getattr(kind, "feature", kind), "names", None)


def _labelled(table: "datasets.Dataset", name: str, params: PrepareParams, key: str) -> Table:
    frame = _frame(table, name, params.text, params.label)
    names = _names(table, params)
    if names is not None and len(frame):
        found = frame[params.label]
        if all(id_ == -1 for id_ in found):
            raise PotstillError(f"{name} is published without labels: set `{key}` to a split that has them")
        if params.multi_label:
            check_ids(found, name)  # `columns` sees names only
        named = dict(enumerate(names))
        frame[params.label] = pd.Series(
            [[named.get(id_) for id_ in ids] if isinstance(ids, list) else named.get(ids) for ids in found],
            dtype=object,
        )
    return columns(frame, name, params.text, params.label, params.multi_label)
