"""Prepare the tables of a source: remove leaks, make missing splits, and count rows and labels."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from potstill.core.errors import MAX_NAMES, PotstillError, join_names
from potstill.data.clean import comparison_keys
from potstill.data.dataset import SPLITS, Dataset
from potstill.prepare import label_files, no_labels
from potstill.prepare.params import PrepareParams
from potstill.prepare.split import count_labels, split_off, subsample
from potstill.readers.tables import RawData, encode


def assemble(
    raw: RawData, params: PrepareParams, made: Sequence[str] = ("test", "validation")
) -> tuple[Dataset, dict[str, Any]]:
    """Clean a source's tables.

    Train and unlabelled rows whose text occurs in validation or test are removed. Validation and test files are not
    changed, so that results are comparable with published ones; texts that both have are counted.

    Args:
        raw: the tables of the source.
        params: labels, their descriptions, shares, `max_labelled`, `max_validation` and seed are used.
        made: the splits to draw from train if the source does not have them.

    Returns:
        The data, and counts: `rows` per split, `labels` per split and class, `removed` rows, `two_labels` and
        `duplicates` in train, `given` labels, and so on.

    Raises:
        PotstillError: a label is unknown, or described and unknown; a class has fewer than two examples, a split cannot
            be made, `max_labelled` or `max_validation` is out of range, or `test_label` is set without a test split.
    """
    is_labelled = params.label is not None
    if params.test_label and "test" not in raw.splits:
        raise PotstillError(
            f"`prepare.test_label`: {params.test_label!r} is for a test file, and there is none (texts that are drawn "
            "from train have no labels). Add one, or set it to null."
        )
    labels, tables = encode(raw, params.label_names) if is_labelled else no_labels.encode(raw, params)
    for name in params.descriptions or {}:
        if name not in labels:
            raise PotstillError(
                f"`prepare.descriptions`: {name!r} is not a label (found: {join_names(labels)}). Correct it."
            )
    splits = {split: table.rows for split, table in tables.items()}
    train_name = tables["train"].name

    facts: dict[str, Any] = _count_repeats(splits["train"])
    splits["train"], removed_train = _remove_leaks(splits)
    if is_labelled:
        _check_examples(splits["train"], labels, train_name)
    facts["made_from_train"] = _make_missing(splits, labels, params, train_name, made)
    splits.setdefault("test", splits["train"][:0])
    if {"validation", "test"} <= tables.keys():
        facts["validation_texts_in_test"] = len(
            set(comparison_keys(splits["validation"]["text"])) & set(comparison_keys(splits["test"]["text"]))
        )

    left_out = {}
    for split, key in (("train", "max_labelled"), ("validation", "max_validation")):
        number, left_out[split] = getattr(params, key), splits[split][:0]
        if number is not None:
            reason = f"`prepare.{key}` is {number}, but {split}"
            splits[split], left_out[split] = subsample(splits[split], number, len(labels), params.seed, reason)
    facts["moved_to_unlabelled"] = len(left_out["train"])
    facts["left_out_of_validation"] = len(left_out["validation"])
    if raw.given is not None:
        facts["given"] = label_files.apply(splits, label_files.encode(raw.given, labels, params.multi_label))
    texts = [*(table.rows["text"] for table in raw.unlabelled), left_out["train"]["text"]]
    unlabelled, removed_unlabelled = _clean_unlabelled(texts, splits)

    finished: dict[str, Any] = {split: _finish(splits[split]) for split in SPLITS}
    dataset = Dataset(
        labels=labels,
        **finished,
        unlabelled=pd.DataFrame({"text": unlabelled.astype("str")}).reset_index(drop=True),
        descriptions=params.descriptions or {},
    )
    facts["removed"] = {"train": removed_train, "unlabelled": removed_unlabelled}
    facts["rows"] = {split: len(dataset.split(split)) for split in (*SPLITS, "unlabelled")}
    facts["labels"] = {
        split: dict(zip(labels, count_labels(splits[split]["label"], len(labels)), strict=True)) for split in SPLITS
    }
    if dataset.multi_label:
        facts["without_label"] = {split: int((~dataset.targets(split).any(1)).sum()) for split in SPLITS}
    for name, count in facts["labels"]["train"].items():
        if is_labelled and not count:
            raise PotstillError(
                f"{train_name}: class {name!r} has no examples in train after splitting. Add examples, or remove the "
                "class."
            )
    return dataset, facts


def _count_repeats(train: pd.DataFrame) -> dict[str, Any]:
    key = comparison_keys(train["text"])
    return {
        "duplicates": int(pd.DataFrame({"key": key, "label": train["label"]}).duplicated().sum()),
        "two_labels": int((train["label"].groupby(key).nunique() > 1).sum()),
    }


def _remove_leaks(splits: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, int]]:
    key = comparison_keys(splits["train"]["text"])
    leaked = pd.Series(False, index=key.index)
    removed = {}
    for split in ("validation", "test"):
        copies = key.isin(comparison_keys(splits[split]["text"]) if split in splits else [])
        removed[f"in_{split}"] = int(copies.sum())
        leaked |= copies
    return splits["train"][~leaked], {**removed, "rows": int(leaked.sum())}


def _check_examples(train: pd.DataFrame, labels: list[str], train_name: str) -> None:
    counts = dict(zip(labels, count_labels(train["label"], len(labels)), strict=True))
    few = [f"{name!r} has {n} example{'s' * (n != 1)}" for name, n in counts.items() if n < 2]
    if len(few) > MAX_NAMES:  # of a column of texts or numbers
        raise PotstillError(
            f"{train_name}: {len(few):,} of {len(labels):,} classes have fewer than 2 examples, such as {few[0]}. Set "
            "`prepare.label` to a column of classes, or add examples."
        )
    if few:
        raise PotstillError(
            f"{train_name}: class {join_names(few)} (copies of validation and test texts are not counted), but 2 are "
            "required. Add examples, or remove the class."
        )


def _make_missing(
    splits: dict[str, pd.DataFrame], labels: list[str], params: PrepareParams, train_name: str, wanted: Sequence[str]
) -> dict[str, int]:
    """Split the wanted splits that the source does not have off train; shares are of the original train split."""
    texts = comparison_keys(splits["train"]["text"]).nunique()
    made = {"validation": 0, "test": 0}
    for split, share in (("test", params.test_share), ("validation", params.validation_share)):
        if split in wanted and split not in splits:
            reason = f"{train_name}: `prepare.{split}_share` {share:g} of {texts} different text{'s' * (texts != 1)}"
            size = round(share * texts)
            splits["train"], splits[split] = split_off(splits["train"], size, labels, params.seed, reason)
            made[split] = len(splits[split])
    return made


def _clean_unlabelled(texts: list[pd.Series], splits: dict[str, pd.DataFrame]) -> tuple[pd.Series, dict[str, int]]:
    pooled = pd.concat(texts, ignore_index=True)
    key = comparison_keys(pooled)
    in_others = key.isin(comparison_keys(pd.concat([splits["validation"]["text"], splits["test"]["text"]])))
    in_train = key.isin(comparison_keys(splits["train"]["text"])) & ~in_others
    repeated = key.duplicated() & ~in_others & ~in_train
    removed = {"in_validation_or_test": in_others, "in_train": in_train, "duplicates": repeated}
    kept = pooled[~(in_others | in_train | repeated)]
    return kept, {reason: int(rows.sum()) for reason, rows in removed.items()}


def _finish(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.astype({"text": "str"}).reset_index(drop=True)
    return rows.assign(label=rows["label"].map(list)) if rows["label"].dtype == object else rows
