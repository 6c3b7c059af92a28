"""The section `prepare`."""

from typing import Any

import pytest

from tests.prepare_project import Project, rows


def test_unknown_key(project: Project) -> None:
    project.fails("`prepare.labeled`", "did you mean `label` or `unlabelled` or `max_labelled`", labeled=100)
    project.fails("`prepare.hub.datset`", hub={"dataset": None, "config": None, "revision": None, "datset": 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source", "kaggle"), ("max_labelled", "abc"), ("seed", -1), ("seed", "abc"), ("path", None),
        ("path", ""), ("unlabelled", "more.txt"), ("label_names", ["one"]), ("label_names", ["a", "a"]),
        ("text", ["a", "a"]), ("text", []),
        ("validation_share", 0), ("test_share", 0.5), ("test_share", "half"),
    ],
)  # fmt: skip
def test_wrong_type_or_out_of_range(project: Project, key: str, value: Any) -> None:
    shown = "null" if value is None else repr(value)
    project.fails("params.yaml", f"`prepare.{key}` is {shown}", **{key: value})


def test_demo_size_out_of_range(project: Project) -> None:
    sizes = {"train": 0, "validation": 40, "test": 40, "unlabelled": 50}
    project.fails("`prepare.demo.train` is 0", source="demo", demo=sizes)


def test_a_share_as_dvc_writes_it_is_a_number(project: Project) -> None:
    project.table("train.csv", rows(40))
    project.params(test_share=1e-5)
    assert "test_share: 1e-05" in (project.root / "params.yaml").read_text()
    project.run_fails("`prepare.test_share` 1e-05 of 40 different texts", "makes 0 rows", "Raise it")
    assert len(project.prepare(test_share=0.125)[0].test) == 5


def test_descriptions_are_those_of_labels(project: Project) -> None:
    project.table("train.csv", rows(40))
    data, _ = project.prepare(descriptions={"bad": "what nobody wants"})
    assert data.descriptions == {"bad": "what nobody wants"}
    project.fails("`prepare.descriptions`: 'ugly' is not a label (found: bad, good)", descriptions={"ugly": "x"})
    project.fails("`prepare.descriptions`", descriptions=["bad"])
