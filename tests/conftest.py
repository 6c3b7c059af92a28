"""Shared by the tests: a tiny task, and tiny randomly initialised Transformers with real tokenizers."""

import os
import random
import signal
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

# No test reaches for a hub, whatever the machine allows.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tests run side by side, a core each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Processes that tests start run the checkout too, whatever is installed.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")

from potstill.core import start
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.data.transfer import TransferSet
from potstill.prepare import demo
from tests import project

assert start  # imported here, so that it does not take Ctrl-C from pytest later
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Where nothing may be skipped (STRICT=1), a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("STRICT") == "1":
        report.outcome = "failed"
    return report


def pytest_collection_modifyitems(items):
    """What is slow comes first, so that at the end no core waits for another.

    One test of the pipeline comes before all, and the rest after others, which are run while it makes what they share.
    """
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, item.path.name == "test_pipeline.py"))
    first = next((item for item in items if item.path.name == "test_pipeline.py"), None)
    if first:
        items.remove(first)
        items.insert(0, first)


FEELINGS = {
    "joy": ["happy", "glad", "merry", "cheerful"],
    "sadness": ["sad", "gloomy", "blue", "tearful"],
    "anger": ["angry", "furious", "cross", "mad"],
}


def make_texts(number: int, seed: int) -> pd.DataFrame:
    """Sentences whose label is plain from one word."""
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


@pytest.fixture(scope="session")
def data() -> Dataset:
    """A task of three classes, easy for anybody who reads."""
    return Dataset(
        labels=list(FEELINGS),
        train=make_texts(240, 0),
        validation=make_texts(60, 1),
        test=make_texts(60, 2),
        unlabelled=make_texts(100, 3)[["text"]],
    )


_SCRATCH = tempfile.TemporaryDirectory()


def make_transfer(texts: list[str], sources: list[str], logits: np.ndarray) -> TransferSet:
    """A transfer set as the stage writes it."""
    folder = Path(tempfile.mkdtemp(dir=_SCRATCH.name))
    pd.DataFrame({"text": texts, "source": sources}).to_parquet(folder / "pool.parquet", index=False)
    labels = [f"c{i}" for i in range(logits.shape[1])]
    pd.DataFrame(logits.astype(np.float32), columns=labels).to_parquet(folder / "logits.parquet", index=False)
    return transfer.read(folder, labels)


def make_mixed_texts(number: int, seed: int) -> pd.DataFrame:
    """Sentences with a word for each of their labels, which are none to three."""
    rng = random.Random(seed)
    rows = []
    for _ in range(number):
        ids = [id_ for id_, share in enumerate((0.5, 0.4, 0.25)) if rng.random() < share]
        telling = [rng.choice(FEELINGS[list(FEELINGS)[id_]]) for id_ in ids]
        words = telling + rng.choices(["today", "again", "at", "work", "home", "so", "now"], k=rng.randint(1, 5))
        rng.shuffle(words)
        rows.append((f"i feel {' '.join(words)} {rng.randrange(1000)}", ids))
    return pd.DataFrame(rows, columns=["text", "label"])


@pytest.fixture(scope="session")
def mixed() -> Dataset:
    """A task of three labels, of which a text may have several, or none."""
    return Dataset(
        labels=list(FEELINGS),
        train=make_mixed_texts(300, 0),
        validation=make_mixed_texts(80, 1),
        test=make_mixed_texts(80, 2),
        unlabelled=make_mixed_texts(100, 3)[["text"]],
    )


CHECKPOINTS = ("bert", "roberta", "t5", "distilbert", "distilroberta", "xlnet")


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
        "distilroberta": hf.RobertaTokenizer,
        "xlnet": hf.XLNetTokenizer,
    }
    options = {"extra_ids": 0} if kind == "t5" else {}
    tokenizer = tokenizers[kind](**options).train_new_from_iterator(texts, vocab_size=400)
    special = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if kind == "bert":
        config = hf.BertConfig(num_hidden_layers=2, **small, **special)
    elif kind in ("roberta", "distilroberta"):
        config = hf.RobertaConfig(num_hidden_layers=2 if kind == "roberta" else 1, **small, **special)
    elif kind == "t5":
        config = hf.T5Config(
            d_model=64, d_kv=32, d_ff=128, num_layers=1, num_heads=2, decoder_start_token_id=0, **special
        )
    elif kind == "distilbert":
        config = hf.DistilBertConfig(dim=64, n_heads=2, n_layers=2, hidden_dim=128, **special)
    else:
        config = hf.XLNetConfig(d_model=32, n_head=2, n_layer=2, d_inner=64, **special)
    torch.manual_seed(0)
    hf.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, data: Dataset) -> Path:
    """A tiny BERT."""
    return make_checkpoint("bert", tmp_path_factory.mktemp("bert"), data.train["text"].tolist())


@pytest.fixture(scope="session")
def origin(tmp_path_factory):
    """See `project.make`. Processes that run tests side by side share it: nobody changes what is in it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "origin.lock"):
        if not (shared / "made").exists():
            texts = demo.generate(200, 50, 50, 50, seed=0).train["text"].tolist()
            checkpoint = make_checkpoint("bert", shared / "checkpoint", texts)
            for name in ("origin", "store"):
                (shared / name).mkdir()
            project.make(shared / "origin", shared / "store", checkpoint)
            (shared / "made").touch()
    return shared / "origin"


@pytest.fixture
def clone(origin, tmp_path):
    """A fresh clone, with nothing pulled."""
    project.run(tmp_path, "git", "clone", "--quiet", str(origin), "clone")
    return tmp_path / "clone"


@pytest.fixture
def pulled(clone):
    """A fresh clone that has pulled."""
    project.run(clone, "dvc", "pull")
    return clone
