"""Copies, and classes without examples."""

from tests.prepare_project import Project, rows, three_splits


def test_a_made_validation_split_holds_no_copy_of_a_given_test_text(project: Project) -> None:
    project.table("train.csv", rows(40))
    project.table("test.csv", rows(20))
    data, facts = project.prepare(validation_share=0.4)
    assert facts["removed"]["train"] == {"in_validation": 0, "in_test": 20, "rows": 20}
    assert not set(data.validation["text"]) & set(data.test["text"])


def test_copies_of_held_out_texts_are_removed_whatever_their_case_and_white_space(project: Project) -> None:
    held_out = [("  TEST   0 ", "bad"), ("validation\t1", "good")]
    project.table("train.csv", [*rows(20), *held_out])
    project.table("val.csv", [*rows(4, word="validation"), ("test 0", "good")])
    project.table("test.csv", rows(4, word="test"))
    (project.data / "more.txt").write_text("Test 3\nTEXT 1\nnew\nNEW\nnewer\n")
    data, facts = project.prepare(unlabelled=["more.txt"])
    assert data.train["text"].tolist() == [text for text, _ in rows(20)]
    assert facts["removed"]["train"] == {"in_validation": 2, "in_test": 1, "rows": 2}
    assert data.unlabelled["text"].tolist() == ["new", "newer"]
    assert facts["removed"]["unlabelled"] == {"in_validation_or_test": 1, "in_train": 1, "duplicates": 1}
    assert facts["validation_texts_in_test"] == 1
    assert facts["rows"]["validation"] == 5  # published splits stay as they are


def test_repeated_texts_and_texts_with_two_labels_are_counted_and_kept(project: Project) -> None:
    three_splits(project)
    project.table("train.csv", [*rows(20), ("TEXT 0", "bad"), ("text 1", "bad"), ("text  1", "bad")])
    data, facts = project.prepare()
    assert (facts["duplicates"], facts["two_labels"]) == (2, 1)
    assert len(data.train) == 23


def test_class_with_one_example(project: Project) -> None:
    three_splits(project)
    project.table("train.csv", [*rows(20), ("odd one", "odd")])
    project.fails("mine/train.csv: class 'odd' has 1 example", "Add examples")


def test_class_whose_examples_are_copies_of_test_texts(project: Project) -> None:
    three_splits(project)
    project.table("train.csv", [*rows(20), ("test 1", "odd"), ("test 2", "odd")])
    project.fails("mine/train.csv: class 'odd' has 0 examples", "copies of validation and test texts")
