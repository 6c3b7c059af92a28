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
from potstill.teacher.continuation import _output_layer, is_teacher, keep_head, repeats
from potstill.teacher.make import Progress, make
from tests.settings import teacher_settings
from tests.teachers import make_teacher, train


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


@pytest.mark.slow
def test_a_few_texts_of_a_new_class_are_learned(bert, data, tmp_path):
    def without(table, texts=0):
        of_class = table["label"] == 2
        return pd.concat([table[~of_class], table[of_class][:texts]], ignore_index=True)

    before = dataclasses.replace(
        data, labels=data.labels[:2], train=without(data.train), validation=without(data.validation)
    )
    network, tokenizer = train(bert, before, tmp_path / "scratch")
    for part in (network, tokenizer):
        part.save_pretrained(tmp_path / "previous")
    model.describe(tmp_path / "previous", "checkpoint", before.labels, 32)

    dataclasses.replace(data, train=without(data.train, texts=8)).save(tmp_path / "prepared")
    preset = {"checkpoint": str(tmp_path / "previous"), "learning_rate": 1e-3}
    settings = teacher_settings(presets={"mine": preset}, epochs=4)
    progress = Progress(lambda: nullcontext(lambda epoch: None), lambda epoch: None, bar=False)
    (tmp_path / "updated").mkdir()
    make(tmp_path / "updated", tmp_path / "prepared", "mine", settings, tmp_path / "resumed", progress)
    right = model.load(tmp_path / "updated").logits(data.test["text"].tolist()).argmax(1) == data.test["label"]
    is_new = data.test["label"] == 2
    assert right[is_new].mean() > 0.5
    assert right[~is_new].mean() > 0.8


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
