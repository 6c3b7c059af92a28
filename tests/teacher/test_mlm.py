import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, DataCollatorForLanguageModeling

from potstill.core.errors import PotstillError
from potstill.scoring import pretrained
from potstill.teacher import finetune, mlm
from tests.settings import teacher_settings
from tests.tasks import make_checkpoint
from tests.teachers import Killed


def adapted(source, data, scratch, log=lambda epoch: None):
    """The folder of a checkpoint trained for three epochs on the train texts."""
    return mlm.train(str(source), data.train["text"].tolist(), teacher_settings(mlm_epochs=3), scratch, log)


def weights(folder, labels=None):
    return pretrained.load(str(folder), labels)[0].state_dict()


@pytest.mark.slow
def test_adapting_trains_the_base_and_nothing_else(bert, data, tmp_path):
    epochs = []
    folder = adapted(bert, data, tmp_path, epochs.append)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert epochs[-1]["loss"] < epochs[0]["loss"]

    before, after = weights(bert, data.labels), weights(folder, data.labels)
    assert {name: value.shape for name, value in before.items()} == {name: value.shape for name, value in after.items()}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in changed if not name.startswith("bert.encoder") and "embeddings" not in name} == set()
    assert len([name for name in changed if name.startswith("bert.encoder")]) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapted", "sha256-of-adapted"]


@pytest.mark.slow
def test_an_interrupted_adaptation_goes_on_from_its_last_pass(bert, data, tmp_path):
    def kill(epoch):
        if epoch["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        adapted(bert, data, tmp_path / "killed", kill)
    assert not (tmp_path / "killed/adapted").exists()
    epochs = []
    resumed = weights(adapted(bert, data, tmp_path / "killed", epochs.append))
    assert [epoch["epoch"] for epoch in epochs] == [2, 3]
    for name, value in weights(adapted(bert, data, tmp_path / "whole")).items():
        np.testing.assert_allclose(resumed[name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_the_loss_is_the_models_own_without_its_cost(kind, data, tmp_path):
    texts = data.train["text"].tolist()
    source = make_checkpoint(kind, tmp_path / "checkpoint", texts)
    model, tokenizer = pretrained.load_as(AutoModelForMaskedLM, "a masked-language model", str(source), 0)
    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    batch = collate(pretrained.encode(tokenizer, texts[:32], 32)[0])
    trainer = mlm._Trainer(
        model=model.eval(), args=finetune.training_arguments(teacher_settings(), tmp_path / "scratch")
    )
    assert trainer.compute_loss(model, dict(batch)).item() == pytest.approx(model(**batch).loss.item(), rel=1e-5)
    nothing = batch | {"labels": torch.full_like(batch["labels"], mlm.IGNORED)}
    assert trainer.compute_loss(model, nothing).item() == 0


@pytest.mark.parametrize("kind", ["t5", "xlnet"])
def test_an_architecture_without_a_masked_language_model_head_is_refused(kind, data, tmp_path):
    source = make_checkpoint(kind, tmp_path / "checkpoint", data.train["text"].tolist())
    with pytest.raises(PotstillError, match=f"{kind} has no masked-language-model head. Set `mlm_epochs: 0` in its"):
        adapted(source, data, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()
