import shutil

import numpy as np
import pytest

from potstill.scoring import inference
from potstill.teacher import checkpointing
from tests.teachers import Killed, train


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["model.safetensors", "optimizer.pt", "trainer_state.json", "half-written"])
def test_an_interrupted_training_goes_on_from_its_last_whole_checkpoint(bert, data, tmp_path, damage):
    def kill(epoch):
        if epoch["epoch"] == 3:
            raise Killed

    with pytest.raises(Killed):
        train(bert, data, tmp_path / "killed", log=kill)
    _, second = sorted((tmp_path / "killed").glob("checkpoint-*"))
    if damage == "half-written":
        shutil.copytree(second, second.with_name("checkpoint-45"))
    else:  # as after a power cut
        (second / damage).write_bytes((second / damage).read_bytes()[:-100])

    epochs = []
    resumed, tokenizer = train(bert, data, tmp_path / "killed", log=epochs.append)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    undisturbed, _ = train(bert, data, tmp_path / "whole")
    texts = data.test["text"].tolist()
    np.testing.assert_allclose(
        inference.score(resumed, tokenizer, texts, max_length=32, batch_size=16).logits,
        inference.score(undisturbed, tokenizer, texts, max_length=32, batch_size=16).logits,
        atol=1e-5,
    )


@pytest.mark.parametrize("damage", ["content", "checksum", "no checksum", "a file"])
def test_a_damaged_checkpoint_is_discarded(tmp_path, capsys, damage):
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / "weights").write_text("1")
    checkpointing.write_checksum(folder)
    assert checkpointing.last(tmp_path) == str(folder)
    assert not capsys.readouterr().out
    if damage == "content":
        (folder / "weights").write_text("2")
    elif damage == "checksum":
        (tmp_path / "sha256-of-checkpoint-5").write_text("null")
    elif damage == "no checksum":
        (tmp_path / "sha256-of-checkpoint-5").unlink()
    else:
        shutil.rmtree(folder)
        folder.write_text("null")
    assert checkpointing.last(tmp_path) is None
    assert not folder.exists()
    assert capsys.readouterr().out == f"note: {folder}: damaged or of another version, so its work is repeated\n"
