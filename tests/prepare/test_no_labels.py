"""The stage `prepare` on texts that nobody has labelled."""

import shlex

import pandas as pd
from ruamel.yaml import YAML

from potstill.evaluate.next_steps import ProjectCommands
from tests.prepare_project import rows

NAMES = ["good", "bad", "neither"]


def unlabelled(project, name="train.csv", count=40):
    pd.DataFrame(rows(count), columns=["text", "label"])[["text"]].to_csv(project.data / name, index=False)


def test_splits_are_drawn_without_labels(project):
    unlabelled(project)
    data, facts = project.prepare(label=None, label_names=NAMES)
    assert data.labels == NAMES
    assert facts["rows"] == {"train": 32, "validation": 4, "test": 4, "unlabelled": 0}
    for split in ("train", "validation", "test"):
        assert not data.is_labelled(split)
        assert set(data.split(split)["label"]) == {-1}
    again, _ = project.prepare(label=None, label_names=NAMES)
    assert again.test["text"].tolist() == data.test["text"].tolist()


def test_a_line_of_txt_is_a_text(project):
    (project.data / "train.txt").write_text("".join(f"a; b {n}\n" for n in range(40)))
    data, _ = project.prepare(label=None, label_names=NAMES)
    assert data.train["text"].str.startswith("a; b ").all()


def test_only_the_test_split_may_have_labels(project):
    unlabelled(project)
    project.table("test.csv", rows(6, word="test"))
    data, facts = project.prepare(label=None, label_names=NAMES, test_label="label")
    assert data.test["label"].tolist() == [1, 0, 1, 0, 1, 0]
    assert facts["labels"] == {
        "train": {"good": 0, "bad": 0, "neither": 0},
        "validation": {"good": 0, "bad": 0, "neither": 0},
        "test": {"good": 3, "bad": 3, "neither": 0},
    }
    assert [data.is_labelled(split) for split in ("train", "validation", "test")] == [False, False, True]
    ids = [(text, NAMES.index(label)) for text, label in rows(6, word="test")]
    project.table("test.csv", ids)
    same, _ = project.prepare(label=None, label_names=NAMES, test_label="label")
    assert same.test["label"].tolist() == data.test["label"].tolist()
    project.table("test.csv", [*rows(6, word="test"), ("test 9", "ugly")])
    fault = "test.csv: row 7 has the label 'ugly', which `prepare.label_names` does not list. Add it there."
    project.fails(fault, label=None, label_names=NAMES, test_label="label")


def test_labels_are_not_read_from_texts_that_become_the_test_split(project):
    project.table("train.csv", rows(40))
    fault = "`prepare.test_label`: 'label' is for a test file, and there is none"
    project.fails(fault, label=None, label_names=NAMES, test_label="label")


def changes(command):
    """Return the parameters of `prepare` that a next step sets."""
    settings = [word.partition("=") for word in shlex.split(command) if word.startswith("prepare.")]
    return {key.removeprefix("prepare."): YAML(typ="safe").load(value) for key, _, value in settings}


def test_the_next_steps_to_labels_lead_there(project):
    unlabelled(project)
    project.table("labelled.csv", rows(12, word="other"))
    given = {"label": None, "label_names": NAMES}
    data, _ = project.prepare(**given | changes(ProjectCommands("files", [], "mine").labels()))
    assert [data.is_labelled(split) for split in ("train", "test")] == [False, True]
    alone = changes(ProjectCommands("files", [], "mine/train.csv").labels())
    data, _ = project.prepare(**given | alone | {"path": "mine"})
    assert data.is_labelled("test")
    alone = changes(ProjectCommands("files", [], "mine/train.csv").train())
    data, _ = project.prepare(
        **{"label_names": NAMES[:2], "test_share": 0.3, "validation_share": 0.3} | alone | {"path": "mine"}
    )
    assert data.is_labelled("train")
    project.table("test.csv", rows(6, word="test"))
    shares = {"label_names": NAMES[:2], "validation_share": 0.3}
    data, facts = project.prepare(**given | shares | changes(ProjectCommands("files", [], "mine").train()))
    assert data.is_labelled("train")
    assert facts["rows"] == {"train": 8, "validation": 4, "test": 6, "unlabelled": 40}


def test_what_labels_are_needed_for_is_refused(project):
    unlabelled(project)
    project.fails("label_names must list the names of the classes, since `label` is null", label=None)
    project.fails("multi_label is for texts with labels", label=None, label_names=NAMES, multi_label=True)
    project.fails("max_labelled is for texts with labels", label=None, label_names=NAMES, max_labelled=3)
    project.fails("test_label is for texts without labels", test_label="label")
    project.fails("two classes are named 'good'", label=None, label_names=["good", "good "])


def test_the_demo_corpus_without_labels(project):
    sizes = {"train": 60, "validation": 20, "test": 20, "unlabelled": 10}
    data, _ = project.prepare(source="demo", label=None, test_label="label", demo=sizes)
    assert len(data.labels) == 6
    assert [data.is_labelled(split) for split in ("train", "validation", "test")] == [False, False, True]
