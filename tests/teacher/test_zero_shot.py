"""Labels from the names of labels."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModel

from potstill.core.errors import PotstillError
from potstill.data.dataset import NO_LABEL
from potstill.scoring import inference
from potstill.scoring.pretrained import load_as
from potstill.teacher import zero_shot
from potstill.teacher.params import TeacherParams
from potstill.teacher.zero_shot import Similarity, confident, label_vectors


@pytest.fixture
def encoder(bert, tmp_path):
    """A tiny checkpoint that says that its tokens are averaged."""
    folder = tmp_path / "encoder"
    shutil.copytree(bert, folder)
    (folder / zero_shot.POOLING).parent.mkdir()
    (folder / zero_shot.POOLING).write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


@pytest.fixture
def unlabelled(data):
    splits = {split: data.split(split).assign(label=NO_LABEL) for split in ("train", "validation", "test")}
    return replace(data, **splits)


def test_the_most_confident_share_of_each_label_is_taken():
    of_one = np.array([0.9, 0.2, 0.8, 0.3, 0.6, 0.7])
    found = np.stack([of_one, 1 - of_one, np.full(6, 0.1)], axis=1)
    assert confident(found, 0.5).tolist() == [0, 1, 2]
    assert confident(found, 0.01).tolist() == [0, 1]  # at least one text of each label that has any


def test_a_text_is_most_similar_to_the_label_that_it_is(encoder):
    network, tokenizer = load_as(AutoModel, "a text encoder", str(encoder), 0)
    model = Similarity(network, 2)
    names = label_vectors(model, tokenizer, ["very_happy", "blue"], {"blue": "gloomy today"}, ["{}", "i feel {}"])
    assert names.norm(dim=1) == pytest.approx(torch.ones(2), abs=1e-5)
    [alone] = label_vectors(model, tokenizer, ["very happy"], {}, ["{}", "i feel {}"])
    assert torch.allclose(names[0], alone, atol=1e-6)
    model.labels.copy_(label_vectors(model, tokenizer, ["happy", "blue"], {}, ["i feel {}"]))
    texts = ["i feel blue", "i feel happy", "i feel blue"]
    logits = inference.score(model, tokenizer, texts, 32, 2, "fp32").logits
    assert logits.argmax(1).tolist() == [1, 0, 1]
    assert logits.max(1) == pytest.approx(np.full(3, 1 / zero_shot.TEMPERATURE), abs=1e-3)


def test_a_checkpoint_that_is_no_sentence_encoder_is_refused(bert, encoder):
    zero_shot.check(str(encoder))
    with pytest.raises(PotstillError, match="it is not a sentence-embedding checkpoint"):
        zero_shot.check(str(bert))


@pytest.mark.slow
def test_each_round_learns_from_more_texts_and_the_same_run_gives_the_same_labels(
    encoder, unlabelled, tmp_path, monkeypatch
):
    said = []
    params = TeacherParams(threads=1)
    results = [
        zero_shot.train(str(encoder), unlabelled, params, 1e-3, tmp_path / name, said.append, bar=False)
        for name in ("one", "one", "two")  # the second call resumes
    ]
    assert len(said) == 9
    learned = [int(line.rpartition("; ")[2].split()[0]) for line in said[:3]]
    assert learned == sorted(learned)
    source, labelled = results[0]
    AutoModel.from_pretrained(source)
    assert labelled.is_labelled("train")
    assert labelled.is_labelled("validation")
    assert set(labelled.train["text"]) <= {*unlabelled.train["text"], *unlabelled.unlabelled["text"]}
    assert not set(labelled.train["text"]) & set(unlabelled.test["text"])
    for _, other in results[1:]:
        assert other.train.equals(labelled.train)
        assert other.validation.equals(labelled.validation)
    monkeypatch.setattr(zero_shot.distributed, "is_main_process", lambda: False)
    zero_shot.train(str(encoder), unlabelled, params, 1e-3, tmp_path / "two", said.append, bar=False)
    assert len(said) == 9  # the other processes say nothing
