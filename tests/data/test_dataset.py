from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from potstill.core.errors import PotstillError
from potstill.data.dataset import NO_LABEL, SPLITS, Dataset
from tests.damage import AGAIN, rewrite, spoil


def test_a_dataset_survives_being_saved(data, tmp_path):
    data.save(tmp_path / "prepared")
    loaded = Dataset.load(tmp_path / "prepared")
    pd.testing.assert_frame_equal(loaded.train, data.train)


def test_descriptions_are_kept_and_without_any_the_file_is_as_before(data, tmp_path):
    described = replace(data, descriptions={"joy": "glad: ça"})
    described.save(tmp_path / "described")
    assert Dataset.load(tmp_path / "described").descriptions == {"joy": "glad: ça"}
    data.save(tmp_path / "prepared")
    assert Dataset.load(tmp_path / "prepared").descriptions == {}
    assert "descriptions" not in (tmp_path / "prepared/dataset.json").read_text()


def test_a_multi_label_task_is_read_as_it_was_written(mixed, tmp_path):
    mixed.save(tmp_path / "data")
    again = Dataset.load(tmp_path / "data")
    assert again.multi_label
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(again.targets(split), mixed.targets(split))


def test_a_split_that_nobody_has_labelled_takes_the_labels_of_a_teacher(data, tmp_path):
    given = replace(data, **{split: data.split(split).assign(label=NO_LABEL) for split in ("train", "validation")})
    given.save(tmp_path / "data")
    loaded = Dataset.load(tmp_path / "data")
    assert [loaded.is_labelled(split) for split in SPLITS] == [False, False, True]
    scores = np.eye(3)[data.targets("validation")]
    wrong = np.eye(3)[(data.targets("test") + 1) % 3]
    labelled = loaded.labelled_by({"validation": scores, "test": wrong})
    np.testing.assert_array_equal(labelled.targets("validation"), data.targets("validation"))
    np.testing.assert_array_equal(labelled.targets("test"), data.targets("test"))  # a person's labels stay
    assert labelled.by_teacher == ("validation",)
    scores[3] = np.nan
    fewer = loaded.labelled_by({"validation": scores})
    assert fewer.validation["text"].tolist() == data.validation["text"].drop(3).tolist()
    np.testing.assert_array_equal(fewer.targets("validation"), np.delete(data.targets("validation"), 3))
    scores[:] = np.nan
    with pytest.raises(PotstillError, match="no label, and no prediction of a teacher, for any of 60 texts"):
        loaded.labelled_by({"validation": scores})


@pytest.mark.parametrize("name", [*SPLITS, "unlabelled"])
def test_a_damaged_split_is_named(data, tmp_path, name):
    data.save(tmp_path / "data")
    path = tmp_path / f"data/{name}.parquet"
    spoil(path)
    for read in (Dataset.load, lambda folder: list(Dataset.texts(folder, name))):
        with pytest.raises(PotstillError, match=f"{path}: it cannot be read .*{AGAIN}"):
            read(tmp_path / "data")


@pytest.mark.parametrize("task", ["data", "mixed"])
def test_labels_without_a_name_are_an_error(task, tmp_path, request):
    request.getfixturevalue(task).save(tmp_path / "data")
    Dataset.load(tmp_path / "data")
    rewrite(tmp_path / "data/dataset.json", lambda facts: facts | {"labels": facts["labels"][:2]})
    with pytest.raises(PotstillError, match=r"train\.parquet: it cannot be read \(a label that dataset\.json does not"):
        Dataset.load(tmp_path / "data")


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"labels": null}', '{"labels": [1, 2]}', "\x00"])
def test_damaged_json_is_named(data, tmp_path, content):
    data.save(tmp_path / "data")
    (tmp_path / "data/dataset.json").write_text(content)
    with pytest.raises(PotstillError, match=rf"dataset\.json: it cannot be read .*{AGAIN}"):
        Dataset.load(tmp_path / "data")


def test_no_unlabelled_text_is_fine(data, tmp_path):
    replace(data, unlabelled=data.unlabelled[:0]).save(tmp_path)
    assert Dataset.load(tmp_path).unlabelled.empty
    assert list(Dataset.texts(tmp_path, "unlabelled")) == []


def test_no_text_of_a_split_need_have_a_label(mixed, tmp_path):
    replace(mixed, test=pd.DataFrame({"text": ["x", "y"], "label": [[], []]})).save(tmp_path)
    np.testing.assert_array_equal(Dataset.load(tmp_path).targets("test"), np.zeros((2, 3), bool))
