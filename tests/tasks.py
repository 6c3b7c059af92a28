"""Tiny tasks, transfer sets and checkpoints that tests share."""

import random
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from potstill.data import transfer
from potstill.data.transfer import TransferSet

FEELINGS = {
    "joy": ["happy", "glad", "merry", "cheerful"],
    "sadness": ["sad", "gloomy", "blue", "tearful"],
    "anger": ["angry", "furious", "cross", "mad"],
}


def make_texts(number: int, seed: int) -> pd.DataFrame:
    """Return sentences with one word that determines the label."""
    rng = random.Random(seed)
    rows = []
    for _ in range(number):
        label = rng.randrange(3)
        word = rng.choice(FEELINGS[list(FEELINGS)[label]])
        filler = " ".join(
            rng.choices(["today", "again", "very", "at", "work", "home", "so", "now"], k=rng.randint(1, 6))
        )
        rows.append((f"i feel {word} {filler} {rng.randrange(1000)}", label))
    return pd.DataFrame(rows, columns=["text", "label"]).astype({"label": "int64"})


_SCRATCH = tempfile.TemporaryDirectory()


def make_transfer(texts: list[str], sources: list[str], logits: np.ndarray) -> TransferSet:
    """Write a transfer set as the stages `pool` and `label` do, and read it."""
    folder = Path(tempfile.mkdtemp(dir=_SCRATCH.name))
    pd.DataFrame({"text": texts, "source": sources}).to_parquet(folder / "pool.parquet", index=False)
    labels = [f"c{i}" for i in range(logits.shape[1])]
    pd.DataFrame(logits.astype(np.float32), columns=labels).to_parquet(folder / "logits.parquet", index=False)
    return transfer.read(folder, labels)


def make_mixed_texts(number: int, seed: int) -> pd.DataFrame:
    """Return sentences with zero to three labels, and one word for each."""
    rng = random.Random(seed)
    rows = []
    for _ in range(number):
        ids = [id_ for id_, share in enumerate((0.5, 0.4, 0.25)) if rng.random() < share]
        informative = [rng.choice(FEELINGS[list(FEELINGS)[id_]]) for id_ in ids]
        words = informative + rng.choices(["today", "again", "at", "work", "home", "so", "now"], k=rng.randint(1, 5))
        rng.shuffle(words)
        rows.append((f"i feel {' '.join(words)} {rng.randrange(1000)}", ids))
    return pd.DataFrame(rows, columns=["text", "label"])


CHECKPOINTS = ("bert", "roberta", "t5", "distilbert", "mpnet", "xlnet")


def make_checkpoint(kind: str, folder: Path, texts: list[str]) -> Path:
    """Save a tiny randomly initialised checkpoint and a tokenizer trained on `texts`."""
    import torch
    import transformers as hf

    small = {
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    tokenizers = {
        "bert": hf.BertTokenizer,
        "roberta": hf.RobertaTokenizer,
        "t5": hf.T5Tokenizer,
        "distilbert": hf.DistilBertTokenizer,
        "xlnet": hf.XLNetTokenizer,
        "electra": hf.ElectraTokenizer,
        "mpnet": hf.MPNetTokenizer,
        "multilingual-e5": hf.XLMRobertaTokenizer,
        "xlm-roberta": hf.XLMRobertaTokenizer,
    }
    # MPNet always takes token 1 as padding and ignores its configuration.
    special = ("<s>", "<pad>", "</s>", "[UNK]", "<mask>")
    options = {"t5": {"extra_ids": 0}, "mpnet": {"vocab": {token: id_ for id_, token in enumerate(special)}}}
    tokenizer = tokenizers[kind](**options.get(kind, {})).train_new_from_iterator(texts, vocab_size=400)
    sizes = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    if kind in ("bert", "multilingual-e5"):
        config = hf.BertConfig(num_hidden_layers=2, **small, **sizes)
    elif kind == "roberta":
        config = hf.RobertaConfig(num_hidden_layers=2, **small, **sizes)
    elif kind == "electra":
        config = hf.ElectraConfig(num_hidden_layers=2, embedding_size=16, **small, **sizes)
    elif kind == "mpnet":
        config = hf.MPNetConfig(num_hidden_layers=2, **small, **sizes)
    elif kind == "xlm-roberta":
        config = hf.XLMRobertaConfig(num_hidden_layers=2, **small, **sizes)
    elif kind == "t5":
        config = hf.T5Config(
            d_model=64, d_kv=32, d_ff=128, num_layers=1, num_heads=2, decoder_start_token_id=0, **sizes
        )
    elif kind == "distilbert":
        config = hf.DistilBertConfig(dim=64, n_heads=2, n_layers=2, hidden_dim=128, **sizes)
    else:
        config = hf.XLNetConfig(d_model=32, n_head=2, n_layer=2, d_inner=64, **sizes)
    torch.manual_seed(0)
    hf.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
