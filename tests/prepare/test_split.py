"""Splits that are made, and cut to few labels."""

import numpy as np
import pandas as pd
import pytest

from potstill.data.clean import comparison_keys
from potstill.prepare.split import count_labels, split_off, subsample
from tests.prepare_project import Project, rows, three_splits


def test_missing_splits_are_made_stratified_without_sharing_a_text(project: Project) -> None:
    texts = rows(60, labels=("a", "a", "b"))
    project.table("all.csv", texts + [(text.upper(), label) for text, label in texts[:30]])
    data, facts = project.prepare(path="mine/all.csv", validation_share=0.2, test_share=0.1)
    assert facts["made_from_train"]["test"] > 0
    assert sum(facts["rows"].values()) == 90
    splits = [set(comparison_keys(data.split(split)["text"])) for split in ("train", "validation", "test")]
    assert [len(split) for split in splits] == [42, 12, 6]
    assert len(set.union(*splits)) == 60
    counts = pd.Series([int(text.split()[1]) % 3 == 2 for text in splits[2]]).sum()
    assert counts == 2


def test_the_seed_decides_the_splits(project: Project) -> None:
    project.table("train.csv", rows(60))
    first, again = project.prepare(seed=1)[0], project.prepare(seed=1)[0]
    other = project.prepare(seed=2)[0]
    pd.testing.assert_frame_equal(first.test, again.test)
    assert first.test["text"].tolist() != other.test["text"].tolist()


def test_few_labels_keep_every_class_and_turn_the_rest_into_text(project: Project) -> None:
    project.table("train.csv", rows(95, labels=("often",)) + rows(3, ("rare",), "r") + rows(2, ("odd",), "o"))
    project.table("dev.csv", [("v", "often")])
    project.table("test.csv", [("t", "rare")])
    data, facts = project.prepare(max_labelled=10)
    assert facts["labels"]["train"] == {"often": 8, "rare": 1, "odd": 1}
    assert facts["rows"]["unlabelled"] == facts["moved_to_unlabelled"] == 90
    assert len({*data.train["text"], *data.unlabelled["text"]}) == 100
    assert project.prepare(max_labelled=100)[1]["rows"]["train"] == 100


def test_few_validation_labels_are_a_sample_of_the_split(project: Project) -> None:
    project.table("train.csv", rows(40, labels=("often", "rare", "odd")))
    held_out = rows(30, ("often",), "v") + rows(10, ("rare",), "w")  # and none of the third class
    project.table("dev.csv", held_out)
    project.table("test.csv", [("t", "rare")])
    data, facts = project.prepare(max_validation=8, max_labelled=10)
    assert facts["labels"]["validation"] == {"often": 6, "rare": 2, "odd": 0}
    assert facts["left_out_of_validation"] == 32
    assert set(data.validation["text"]) < {text for text, _ in held_out}
    assert not set(data.unlabelled["text"]) & {text for text, _ in held_out}
    other, _ = project.prepare(max_validation=8, max_labelled=10, seed=1)
    assert set(other.validation["text"]) != set(data.validation["text"])


def test_class_with_too_few_texts_to_split(project: Project) -> None:
    project.table("train.csv", [*rows(40), ("odd one", "odd"), ("ODD one", "odd")])
    project.fails("mine/train.csv", "class 'odd' has 1 different text", "`prepare.test_share`", "Add examples")


@pytest.mark.parametrize(("count", "made", "mend"), [(1, "0 rows", "Add different texts"), (8, "1 row,", "Raise it")])
def test_a_share_that_is_too_small_is_raised_only_where_that_helps(project: Project, count, made, mend) -> None:
    project.table("train.csv", [(f"text {n % count}", ("bad", "good")[n % 2]) for n in range(50)])
    project.fails(f"of {count} different text", f"makes {made}", f"than the 2 classes. {mend}", test_share=0.13)


def test_labelled_out_of_range(project: Project) -> None:
    three_splits(project)
    project.fails("`prepare.max_labelled` is 21", "20 rows", "2 to 20", max_labelled=21)
    project.fails("`prepare.max_labelled` is 1,", "2 classes", max_labelled=1)
    project.fails("`prepare.max_labelled` is 0", max_labelled=0)
    project.fails("`prepare.max_validation` is 1,", "validation has", max_validation=1)


def rare(number: int) -> pd.DataFrame:
    """Texts of which 2% have the last label, and those always with the first."""
    rng = np.random.default_rng(0)
    ids = [(0, 3) if i % 50 == 0 else tuple(np.flatnonzero(rng.random(3) < 0.4).tolist()) for i in range(number)]
    return pd.DataFrame({"text": [f"text {i}" for i in range(number)], "label": pd.Series(ids, dtype=object)})


@pytest.mark.parametrize("size", [20, 100])
def test_a_split_has_its_share_of_every_label(size):
    rows = rare(400)
    rest, sample = split_off(rows, size, ["a", "b", "c", "d"], 0, "it")
    assert len(sample) == size
    assert sorted([*rest.index, *sample.index]) == list(rows.index)
    whole, parts = count_labels(rows["label"], 4), count_labels(sample["label"], 4)
    for count, held in zip(whole, parts, strict=True):
        assert held == pytest.approx(count * size / 400, abs=0.05 * size + 4)
    assert 0 < parts[3] < whole[3]


def test_few_labels_hold_one_of_each():
    rows = rare(400)
    kept, rest = subsample(rows, 8, 4, 0, "it")
    assert len(kept) == 8
    assert len(rest) == 392
    assert min(count_labels(kept["label"], 4)) >= 1


@pytest.mark.parametrize("added", [1, 40])
def test_added_rows_leave_the_others_in_their_splits(added):
    def test_texts(rows: list[tuple[str, int]]) -> set[str]:
        table = pd.DataFrame(rows, columns=["text", "label"])
        return set(split_off(table, round(0.1 * len(table)), ["a", "b", "c"], 0, "it")[1]["text"])

    old = [(f"text {i}", i % 2) for i in range(400)] + [(f"rare {i}", 2) for i in range(20)]
    before = test_texts(old)
    after = test_texts([(f"new {i}", 0) for i in range(added)] + old)
    assert len(after) == round(0.1 * (420 + added))
    assert len(before - after) <= 2  # a new text with a lower hash takes the place of one
    assert len({text for text in after if not text.startswith("new")} - before) <= 2
    corrected = test_texts([(old[0][0], 1), *old[1:]])
    assert len(before ^ corrected) <= 2
