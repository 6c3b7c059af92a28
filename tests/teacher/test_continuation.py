"""Fine-tuning that continues from an earlier teacher."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch

from potstill.core.errors import PotstillError
from potstill.core.files import sha256
from potstill.scoring import model, pretrained
from potstill.teacher import finetune
from potstill.teacher.continuation import _output_layer, is_teacher, keep_head, repeats
from potstill.teacher.make import Progress, make
from tests.settings import teacher_settings
from tests.teachers import make_teacher


@pytest.mark.parametrize("old", ["ba", "cabx", "bac", "xy"])
def test_a_class_keeps_its_weights_whatever_its_id(bert, tmp_path, old):
    source = make_teacher(bert, tmp_path / "teacher", [*old])
    assert is_teacher(source)
    assert not is_teacher(bert)
    weights = _output_layer(pretrained.load(str(source))[0])
    heads = []
    for _ in range(2):
        network, _ = pretrained.load(str(source), [*"abc"])
        assert keep_head(network, source, [*"abc"], 0) == [x for x in "abc" if x not in old]
        heads.append(_output_layer(network))
    head, again = heads
    assert torch.equal(head.weight, again.weight)
    assert head.weight.shape[0] == 3
    for row, name in enumerate("abc"):
        if name in old:
            assert torch.equal(head.weight[row], weights.weight[old.index(name)])
            assert head.bias[row] == weights.bias[old.index(name)]


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(
    ("counts", "new", "expected"),
    [
        ((30, 50, 10), ["c"], (1, 1, 4)),
        ((30, 50, 90), ["c"], (1, 1, 1)),
        ((80, 10, 20), ["b", "c"], (1, 8, 4)),
        ((30, 50, 10), [], (1, 1, 1)),
        ((30, 50, 10), ["a", "b", "c"], (1, 1, 1)),
    ],
)
def test_a_new_class_counts_as_much_as_the_mean_known_one(data, counts, new, expected, multi_label):
    ids = np.repeat(range(3), counts)
    labels = [(i,) for i in ids] if multi_label else ids
    train = pd.DataFrame({"text": [f"text {i}" for i in range(len(ids))], "label": labels})
    data = dataclasses.replace(data, labels=["a", "b", "c"], train=train)
    assert repeats(data, new).tolist() == np.repeat(expected, counts).tolist()


def test_the_texts_of_a_new_class_are_repeated_in_training(bert, data, tmp_path, monkeypatch):
    source = make_teacher(bert, tmp_path / "teacher", data.labels[:2])
    is_new = data.train["label"] == 2
    rows = pd.concat([data.train[~is_new], data.train[is_new][:8]], ignore_index=True)
    dataclasses.replace(data, train=rows).save(tmp_path / "prepared")
    settings = teacher_settings(presets={"mine": {"checkpoint": str(source)}})
    progress = Progress(lambda: nullcontext(lambda epoch: None), lambda epoch: None, bar=False)
    seen = []
    monkeypatch.setattr(finetune, "run", lambda trainer, scratch, bar: seen.extend(trainer.train_dataset))
    (tmp_path / "updated").mkdir()
    make(tmp_path / "updated", tmp_path / "prepared", "mine", settings, tmp_path / "scratch", progress)
    counts = np.bincount([row["labels"] for row in seen])
    assert counts[:2].tolist() == np.bincount(rows["label"])[:2].tolist()
    assert counts[2] == 8 * round(counts[:2].mean() / 8)
    assert model.load(tmp_path / "updated").labels == data.labels


def test_a_table_cannot_be_trained_on(bert, data, tmp_path):
    network, _ = pretrained.load(str(bert), data.labels)
    model.describe(tmp_path, "table", data.labels)
    with pytest.raises(PotstillError, match="table"):
        keep_head(network, tmp_path, data.labels, 0)


def test_a_start_with_another_hash_is_refused(bert, tmp_path):
    for sha, path, found in (("0" * 64, bert, "other contents"), (sha256(bert), tmp_path / "gone", "no such folder")):
        params = teacher_settings(presets={"mine": {"checkpoint": str(path), "sha256": sha}})
        with pytest.raises(PotstillError, match=rf"sha256` in teacher.presets.mine says \(found: {found}"):
            make(tmp_path / "new", tmp_path, "mine", params, tmp_path, None)
