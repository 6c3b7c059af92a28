"""The stage `prepare`."""

import pandas as pd

from potstill.core import paths
from potstill.data.dataset import Dataset
from tests.prepare_project import Project, rows, three_splits
from tests.project import ROOT

EXAMPLE = ROOT / "data/example"


def test_the_example_in_the_repository_is_read(project: Project) -> None:
    data, facts = project.prepare(path=str(EXAMPLE), unlabelled=["unlabelled.txt"])
    assert data.labels == ["account", "billing", "bug"]
    assert facts["rows"] == {"train": 12, "validation": 6, "test": 6, "unlabelled": 10}
    assert facts["labels"]["train"] == {"account": 4, "billing": 4, "bug": 4}
    assert facts["made_from_train"] == {"validation": 0, "test": 0}
    assert list(data.train) == ["text", "label"]
    assert data.train["label"].dtype == "int64"


def test_the_demo_corpus_is_prepared_and_cut_to_few_labels(project: Project) -> None:
    sizes = {"train": 120, "validation": 40, "test": 40, "unlabelled": 50}
    data, facts = project.prepare(source="demo", demo=sizes, max_labelled=30)
    assert len(data.train) == 30
    assert set(data.train["label"]) == set(range(len(data.labels)))
    assert facts["moved_to_unlabelled"] == 90
    assert facts["rows"]["test"] == 40


def test_a_failure_leaves_the_earlier_result_alone(project: Project) -> None:
    three_splits(project)
    before, _ = project.prepare()
    project.table("train.csv", [("a text", ""), *rows(20)])
    project.run_fails("train.csv")
    pd.testing.assert_frame_equal(Dataset.load(paths.PREPARED).train, before.train)
