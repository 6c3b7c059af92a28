"""Multilingual teachers, with a tokenizer as SentencePiece trains and `transformers` converts those of XLM-R."""

import pandas as pd
import pytest
import sentencepiece
import torch
import transformers as hf

from potstill.data.dataset import Dataset
from potstill.scoring import model
from potstill.student.distil import distil
from tests import languages
from tests.settings import student_settings
from tests.teachers import train

SMALL = {
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
CONFIGS = {"multilingual-e5-small": hf.BertConfig, "xlm-roberta-base": hf.XLMRobertaConfig}
STUDENTS = {
    "table": {"architecture": "mlp"},
    "subwords": {"architecture": "mlp", "subwords": True},
    "transformer": {"architecture": "transformer", "layers": 1, "learning_rate": 3e-3, "epochs": 8},
}


@pytest.fixture(scope="module")
def data():
    """A task in seven scripts."""
    splits = [
        pd.concat([languages.make(name, number, seed) for name in languages.LANGUAGES], ignore_index=True)
        for seed, number in enumerate((40, 10, 10))
    ]
    return Dataset(["good", "bad"], *splits, splits[0][["text"]])


@pytest.fixture(scope="module")
def tokenizer(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    with (folder / "sentencepiece.bpe.model").open("wb") as writer:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(data.train["text"]), model_writer=writer, vocab_size=250, character_coverage=1.0,
            hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
    made = hf.XLMRobertaTokenizer.from_pretrained(folder)
    assert "Precompiled" in str(made.backend_tokenizer.normalizer)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_multilingual_teacher_labels_and_distils_into_every_kind_of_student(kind, data, tokenizer, tmp_path):
    torch.manual_seed(0)
    config = CONFIGS[kind](vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SMALL)
    for part in (hf.AutoModel.from_config(config), tokenizer):
        part.save_pretrained(tmp_path / "checkpoint")
    for part in train(tmp_path / "checkpoint", data, tmp_path / "scratch", epochs=6):
        part.save_pretrained(tmp_path / "saved")
    model.describe(tmp_path / "saved", "checkpoint", data.labels, 32)
    teacher = model.load(tmp_path / "saved", batch_size=16, precision="fp32")
    texts, held_out, labels = data.train["text"].tolist(), data.test["text"].tolist(), data.test["label"]
    logits = teacher.logits(texts)
    found = {"teacher": teacher.logits(held_out).argmax(1)}
    for name, changes in STUDENTS.items():
        params = student_settings(vocab_size=200, **changes)
        student = distil(data.labels, texts, logits, data.validation, params, tmp_path / "saved").student
        found[name] = student.predict_proba(held_out).argmax(1)
    accuracies = {name: (predicted == labels).mean() for name, predicted in found.items()}
    assert min(accuracies.values()) > 0.9, accuracies
