import numpy as np
import pytest
import torch

from potstill.scoring import inference, pretrained
from tests.tasks import CHECKPOINTS, make_checkpoint


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_scores_do_not_depend_on_batches_or_order(kind, data, tmp_path):
    source = make_checkpoint(kind, tmp_path / "checkpoint", data.train["text"].tolist())
    network, tokenizer = pretrained.load(str(source), data.labels)
    texts = [*data.test["text"], "", "word " * 100]

    def scored(texts, batch_size):
        return inference.score(network, tokenizer, texts, max_length=32, batch_size=batch_size, precision="fp32").logits

    together = scored(texts, 16)
    np.testing.assert_allclose(together, np.concatenate([scored([text], 1) for text in texts]), atol=1e-5)
    assert scored([], 16).shape == (0, 3)
    for text, found in zip(texts, together, strict=True):  # whatever of the network was not computed
        given = tokenizer(text, truncation=True, max_length=32, return_tensors="pt")
        with torch.inference_mode():
            np.testing.assert_allclose(network(**given).logits[0], found, atol=1e-5)


@pytest.mark.parametrize("fast", [True, False])
def test_truncated_texts_are_counted(bert, fast, monkeypatch):
    network, tokenizer = pretrained.load(str(bert), ["a", "b"])
    if not fast:
        monkeypatch.setattr("transformers.BatchEncoding.encodings", None)
    short, fits = "happy", " ".join(["happy"] * (14 if fast else 13))  # of 16 tokens two mark its ends
    rows, truncated = pretrained.encode(tokenizer, [short, fits, fits + " happy happy", fits * 9], 16)
    assert (len(rows), truncated) == (4, 2)
    assert {len(row["input_ids"]) for row in rows} == {3, 16 if fast else 15, 16}
    assert inference.score(network, tokenizer, [short, fits * 9], max_length=16, batch_size=2).truncated == 1
