"""The transfer set, and damaged files of it."""

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.data import transfer
from potstill.student.params import StudentParams
from tests.damage import AGAIN, spoil
from tests.tasks import make_transfer


@pytest.mark.parametrize("name", ["pool", "logits"])
def test_a_damaged_file_is_named(data, name):
    texts = data.train["text"].tolist()
    folder = make_transfer(texts, ["train"] * len(texts), np.zeros((len(texts), 3))).texts.path.parent
    spoil(folder / f"{name}.parquet")

    with pytest.raises(PotstillError, match=rf"{name}\.parquet: it cannot be read .*{AGAIN}"):
        list(transfer.read(folder, ["c0", "c1", "c2"]).texts)


def test_no_student_learns_from_what_is_held_out():
    sources = ["train", "unlabelled", "held_out", "replace", "held_out"]
    logits = np.arange(10.0).reshape(5, 2)
    found = make_transfer(list("abcde"), sources, logits)
    folder, labels = found.texts.path.parent, ["c0", "c1"]
    assert list(found.texts) == ["a", "b", "d"]
    assert found.logits.tolist() == logits[[0, 1, 3]].tolist()
    assert transfer.sources(folder) == ["replace", "train", "unlabelled"]
    assert transfer.count(folder) == dict.fromkeys(["replace", "train", "unlabelled"], 1)
    with pytest.raises(PotstillError, match=r"student\.sources"):
        transfer.read(folder, labels, ["held_out"])
    assert "`student.sources" in StudentParams.check({"sources": ["held_out"]})[0]
    held_out = transfer.read_held_out(folder, labels)
    assert (list(held_out.texts), held_out.sources.tolist()) == (["c", "e"], ["held_out"] * 2)
    assert held_out.logits.tolist() == logits[[2, 4]].tolist()
    assert not len(transfer.read_held_out(make_transfer(["a"], ["train"], logits[:1]).texts.path.parent, labels).texts)


def test_a_logit_that_is_not_finite_is_an_error():
    with pytest.raises(
        PotstillError, match=rf"logits\.parquet: it cannot be read \(a logit that is not finite.*{AGAIN}"
    ):
        make_transfer(["x"], ["train"], np.array([[0, np.inf]]))
