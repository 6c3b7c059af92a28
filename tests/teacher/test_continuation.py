"""Fine-tuning that continues from an earlier teacher."""

import pytest
import torch

from potstill.core.errors import PotstillError
from potstill.core.files import sha256
from potstill.scoring import model, pretrained
from potstill.teacher.continuation import _output_layer, is_teacher, keep_head
from potstill.teacher.make import make
from tests.settings import teacher_settings
from tests.teachers import make_teacher


@pytest.mark.parametrize("labels", [["b", "new", "a"], ["c", "a", "b", "new"], ["x", "y"]])
def test_a_class_keeps_its_weights_whatever_its_id(bert, tmp_path, labels):
    source = make_teacher(bert, tmp_path / "teacher", ["a", "b", "c"])
    assert is_teacher(source)
    assert not is_teacher(bert)
    old = _output_layer(pretrained.load(str(source))[0])
    network, _ = pretrained.load(str(source), labels)
    new = keep_head(network, source, labels, 0)
    assert new == [name for name in labels if name not in "abc"]
    head = _output_layer(network)
    assert head.weight.shape[0] == len(labels)
    for row, name in enumerate(labels):
        same = [torch.equal(head.weight[row], weights) for weights in old.weight]
        assert same == [name == other for other in "abc"]
        if name not in new:
            assert head.bias[row] == old.bias["abc".index(name)]
    again, _ = pretrained.load(str(source), labels)
    keep_head(again, source, labels, 0)
    assert torch.equal(_output_layer(again).weight, head.weight)


def test_a_table_cannot_be_trained_on(bert, tmp_path):
    network, _ = pretrained.load(str(bert), ["a", "b"])
    model.describe(tmp_path, "table", ["a", "b"])
    with pytest.raises(PotstillError, match="table"):
        keep_head(network, tmp_path, ["a", "b"], 0)


def test_a_start_with_another_hash_is_refused(bert, tmp_path):
    for sha, path, found in (("0" * 64, bert, "other contents"), (sha256(bert), tmp_path / "gone", "no such folder")):
        params = teacher_settings(presets={"mine": {"checkpoint": str(path), "sha256": sha}})
        with pytest.raises(PotstillError, match=rf"sha256` in teacher.presets.mine says \(found: {found}"):
            make(tmp_path / "new", tmp_path, "mine", params, tmp_path, None)
