from dataclasses import replace

import pytest
from scipy.special import softmax

from potstill.evaluate.compare import Model, compare
from potstill.scoring import inference, model, pretrained
from potstill.scoring.windows import MAX_WINDOWS
from potstill.teacher import finetune
from tests.settings import teacher_settings
from tests.tasks import CHECKPOINTS, make_checkpoint
from tests.teachers import train


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_every_architecture_is_finetuned_saved_labels_and_distils(kind, data, tmp_path):
    from potstill.student.distil import distil
    from tests.settings import student_settings

    source = make_checkpoint(kind, tmp_path / "checkpoint", data.train["text"].tolist())
    # Some are slow to learn from scratch.
    epochs, rate = {"t5": (40, 2e-3), "xlnet": (30, 5e-3)}.get(kind, (12, 3e-3))
    network, tokenizer = train(source, data, tmp_path / "scratch", epochs, rate=rate)
    saved = tmp_path / "saved"
    network.save_pretrained(saved)
    tokenizer.save_pretrained(saved)
    model.describe(saved, "checkpoint", data.labels, 32)

    teacher = model.load(saved, batch_size=16, precision="fp32")
    texts = data.train["text"].tolist()
    labelled = teacher.logits(texts)
    tested = teacher.logits(data.test["text"].tolist())
    taught = (tested.argmax(1) == data.test["label"]).mean()
    assert taught > 0.55  # a third by chance

    student = distil(data.labels, texts, labelled, data.validation, student_settings()).student
    learnt = student.predict_proba(data.test["text"].tolist())
    shares = softmax(tested, axis=1)
    compared = [
        Model("teacher", "teacher", shares, shares, teacher.parameters, 1),
        Model("student", "student", learnt, learnt, student.parameters, 1),
    ]
    rows, _ = compare(compared, data.test["label"].to_numpy(), "teacher", None)
    assert rows[1]["agreement"] > 0.6


@pytest.mark.slow
def test_the_last_epoch_is_kept_and_every_epoch_is_logged(bert, data, tmp_path):
    def long(table):
        """Return texts of which the first window says nothing."""
        return table.assign(text="w " * 10 + table["text"] + " w" * 10)

    data, epochs = replace(data, train=long(data.train), validation=long(data.validation)), []
    network, tokenizer = train(bert, data, tmp_path, log=epochs.append, max_length=10, max_windows=None)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert set(epochs[0]) == {"epoch", "loss", "validation_loss", "validation_accuracy"}
    texts, labels = data.validation["text"].tolist(), data.validation["label"]
    found = inference.score(network, tokenizer, texts, 10, 16, max_windows=MAX_WINDOWS).logits
    accuracy = (found.argmax(1) == labels).mean()
    assert accuracy == pytest.approx(epochs[-1]["validation_accuracy"])
    assert accuracy > 0.5
    assert len(set(inference.score(network, tokenizer, texts, 10, 16).logits.argmax(1))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("weight", [None, "balanced"])
def test_a_teacher_is_finetuned_on_multi_label_texts(bert, mixed, tmp_path, weight):
    params, scratch = teacher_settings(class_weight=weight, epochs=6), tmp_path / "scratch"
    network, tokenizer = pretrained.load(str(bert), mixed.labels, multi_label=True)
    epochs = []
    finetune.finetune(network, tokenizer, mixed.train, mixed.validation, params, 3e-3, scratch, epochs.append)
    assert network.config.problem_type == "multi_label_classification"
    assert epochs[-1]["validation_loss"] < epochs[0]["validation_loss"]
    texts, known = mixed.validation["text"].tolist(), mixed.targets("validation")
    found = inference.score(network, tokenizer, texts, max_length=32, batch_size=32).logits
    assert all(column[has].mean() > column[~has].mean() for column, has in zip(found.T, known.T, strict=True))
