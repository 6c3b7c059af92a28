"""Folds of a cross-validation: every text is tested once, by what was trained without it."""

from collections import Counter

import pandas as pd
import pytest

from potstill.core.errors import PotstillError
from potstill.data.clean import comparison_keys
from potstill.prepare.folds import take_fold
from potstill.readers.tables import RawData, make_table
from tests.prepare_project import Project, rows, three_splits


def raw(labels: list[str], multi_label: bool = False) -> RawData:
    frame = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
    return RawData({"train": make_table(frame, "mine.csv", multi_label)})


def test_every_text_is_tested_once_and_copies_stay_together(project: Project) -> None:
    texts = rows(60, labels=("a", "a", "b"))
    project.table("all.csv", texts + [(text.upper(), label) for text, label in texts[:30]])
    tested = []
    for number in (1, 2, 3):
        data, facts = project.prepare(path="mine/all.csv", fold=number, folds=3)
        assert facts["removed"]["train"]["rows"] == 0
        keys = [set(comparison_keys(data.split(split)["text"])) for split in ("train", "validation", "test")]
        assert len(set.union(*keys)) == sum(map(len, keys)) == 60
        assert Counter(data.test.drop_duplicates("label")["label"]) == {0: 1, 1: 1}
        assert 18 <= len(keys[2]) <= 22
        tested += data.test["text"].tolist()
    assert sorted(tested) == sorted([text for text, _ in texts] + [text.upper() for text, _ in texts[:30]])


def test_the_seed_decides_the_folds_which_are_stratified_and_located() -> None:
    data = raw(["rare" if i % 10 == 0 else "often" for i in range(100)])
    first, again, other = (take_fold(data, 2, 5, seed).splits["test"] for seed in (1, 1, 2))
    assert first.rows.equals(again.rows)
    assert not first.rows.equals(other.rows)
    assert Counter(first.rows["label"]) == {"rare": 2, "often": 18}
    for table in take_fold(data, 2, 5, 1).splits.values():
        numbers = [int(text.split()[1]) + 1 for text in table.rows["text"]]
        assert [table.location(i).number for i in range(len(table.rows))] == numbers
        assert str(table.location(0)) == f"mine.csv: row {numbers[0]}"


def test_texts_with_several_labels_are_stratified_by_the_rarest() -> None:
    data = raw(["often|rare" if i % 5 == 0 else "often" if i % 2 else "" for i in range(50)] + ["once"], True)
    for number in (1, 2):
        test = take_fold(data, number, 2, 0).splits["test"].rows["label"]
        assert sum("rare" in held for held in test) == 5
        assert sum("often" in held for held in test) == 15


def test_what_cannot_be_folded_is_said(project: Project) -> None:
    three_splits(project)
    project.fails("`prepare.fold` is set, but there is a test split", "test.csv. Leave one of them out", fold=1)
    project.fails("fold is 6, but folds is 5", fold=6)
    with pytest.raises(PotstillError, match=r"class 'b' has 2 different texts, fewer than the 3 folds"):
        take_fold(raw(["a"] * 9 + ["b"] * 2), 1, 3, 0)
