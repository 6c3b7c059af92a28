import pandas as pd
import pytest

from potstill.advise.sample import draw
from potstill.core.errors import PotstillError
from potstill.data.dataset import Dataset


def table(labels):
    return pd.DataFrame({"text": [f"text number {i}" for i in range(len(labels))], "label": labels})


def test_train_texts_replace_unlabelled_text_that_is_missing(data):
    sample = draw(Dataset(data.labels, data.train, data.validation, data.test, data.unlabelled[:0]), 50)
    assert sample.train_as_unlabelled
    assert (len(sample.train), len(sample.selection), len(sample.others)) == (50, 16, 240 - 50 - 16)


def test_a_small_sample_holds_every_class(data):
    many = Dataset(
        [str(i) for i in range(45)], table([i % 45 for i in range(300)]), table([0, 1]), table([0]), table([0])
    )
    sample = draw(many, 2000)
    assert sample.train["label"].nunique() == 45
    assert not set(sample.train["text"]) & set(sample.selection["text"])


@pytest.mark.parametrize(
    ("train", "validation", "says"),
    [
        ([0, 1] * 20, [0, 1], "32 labelled rows are too few for 2 classes. Use at least 40"),
        ([0, 1] * 40, [1, 1], "only one class"),
    ],
)
def test_a_task_too_small_for_advice_is_an_error(train, validation, says):
    with pytest.raises(PotstillError, match=says):
        draw(Dataset(["a", "b"], table(train), table(validation), table([0]), table([0])[["text"]]), 2000)
