"""Splits that are made, and cut to few labels."""

import pandas as pd
import pytest

from potstill.data.clean import comparison_keys
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
