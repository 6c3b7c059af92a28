import json
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from potstill.core.errors import PotstillError
from potstill.pool import vocabulary
from potstill.scoring import model, pretrained
from tests.damage import AGAIN, LABELS, rewrite, weigh
from tests.tasks import CHECKPOINTS, make_checkpoint


def test_pickled_weights_are_not_loaded(bert, tmp_path, data):

    folder = shutil.copytree(bert, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(PotstillError, match="cannot be loaded as a text classifier"):
        pretrained.load(str(folder), data.labels)


def slow(folder):
    """Give a checkpoint of BERT a slow tokenizer."""
    path = folder / "tokenizer.json"
    words = json.loads(path.read_text())["model"]["vocab"]
    path.unlink()
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in sorted(words, key=words.get)))


def pad(folder, rows):
    """Give a checkpoint more embeddings than its tokenizer has tokens."""
    network = AutoModelForSequenceClassification.from_pretrained(folder)
    network.resize_token_embeddings(rows)
    network.save_pretrained(folder)


@pytest.fixture
def checkpoint(bert, tmp_path):
    """Return a copy of a base checkpoint."""
    return shutil.copytree(bert, tmp_path / "checkpoint")


# How to damage a tokenizer of BERT, and the message.
TOKENIZERS = {
    "missing": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer is missing \(no tokenizer.json or vocab.txt\)"),
    "cut off": (lambda f: (f / "tokenizer.json").write_text('{"version"'), "delimiter"),
    "empty": (lambda f: (f / "tokenizer.json").write_bytes(b""), "Expecting value"),
    "null": (
        lambda f: (f / "tokenizer.json").write_text("null"),
        r"tokenizer\.json is not a JSON object \(found: null\)",
    ),
    "no object": (lambda f: (f / "tokenizer.json").write_text("[]"), r"tokenizer\.json is not a JSON object"),
    "no keys": (lambda f: (f / "tokenizer.json").write_text("{}"), r"tokenizer\.json: `added_tokens` is missing"),
    "config null": (lambda f: (f / "tokenizer_config.json").write_text("null"), r"_config\.json is not a JSON object"),
    "without words": (
        lambda f: rewrite(f / "tokenizer.json", lambda t: t | {"model": t["model"] | {"vocab": {}}}),
        r"Missing \[UNK\] token",
    ),
    "cut vocabulary": (
        lambda f: (slow(f), (f / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nsad\n")),
        "of 6 tokens, does not fit its embeddings, of 400 rows",
    ),
}


class TestTokenizer:
    """Without its files, `transformers` makes up a tokenizer, and every text has the same prediction."""

    @pytest.mark.parametrize("damage", TOKENIZERS)
    def test_one_that_is_not_whole_is_refused(self, checkpoint, teacher_folder, damage):
        spoiled, says = TOKENIZERS[damage]
        for folder in (checkpoint, teacher_folder):
            spoiled(folder)
        with pytest.raises(PotstillError, match=f"{checkpoint} cannot be loaded as a text classifier: .*{says}"):
            pretrained.load(str(checkpoint), LABELS)
        with pytest.raises(PotstillError, match=f"{checkpoint} cannot be loaded as a masked.*{says}.*get it again"):
            pretrained.load_as(AutoModelForMaskedLM, "a masked-language model", str(checkpoint), 0)
        with pytest.raises(PotstillError, match=f"{teacher_folder} cannot be loaded .*{says}.*{AGAIN}"):
            model.load(teacher_folder)

    @pytest.mark.parametrize("kind", ["t5", "xlnet"])
    def test_a_smaller_one_of_another_checkpoint_is_refused(self, data, checkpoint, tmp_path, kind):
        other = make_checkpoint(kind, tmp_path / kind, data.train["text"].tolist())
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(other / name, checkpoint / name)
        with pytest.raises(PotstillError, match="tokenizer"):
            pretrained.load(str(checkpoint), LABELS)

    def test_a_larger_one_of_another_checkpoint_is_refused(self, data, checkpoint, tmp_path):
        AutoTokenizer.from_pretrained(checkpoint).train_new_from_iterator(
            data.train["text"].tolist(), vocab_size=500
        ).save_pretrained(checkpoint)
        with pytest.raises(PotstillError, match=r"of 4\d\d tokens, does not fit its embeddings, of 400 rows"):
            pretrained.load(str(checkpoint), LABELS)

    def test_one_that_pads_otherwise_is_refused(self, checkpoint):
        rewrite(checkpoint / "config.json", lambda config: config | {"pad_token_id": 3})
        with pytest.raises(PotstillError, match=r"pads with token 0, and its config\.json with 3"):
            pretrained.load(str(checkpoint), LABELS)

    @pytest.mark.parametrize("rows", [None, 448, 512])
    def test_words_in_a_text_file_and_padded_embeddings_are_fine(self, checkpoint, rows):
        before = pretrained.load(str(checkpoint), LABELS)[1]("i feel happy")["input_ids"]
        slow(checkpoint)
        if rows:
            pad(checkpoint, rows)
        network, tokenizer = pretrained.load(str(checkpoint), LABELS)
        assert tokenizer("i feel happy")["input_ids"] == before
        assert network.get_input_embeddings().num_embeddings == (rows or 400)

    @pytest.mark.parametrize("kind", CHECKPOINTS)
    def test_no_architecture_gets_by_without(self, data, tmp_path, kind):
        folder = make_checkpoint(kind, tmp_path / kind, data.train["text"].tolist())
        (folder / "tokenizer.json").unlink()
        for load in (lambda: pretrained.load(str(folder), LABELS), lambda: vocabulary.words(str(folder))):
            with pytest.raises(PotstillError, match="its tokenizer is missing"):
                load()


def test_a_base_checkpoint_may_lack_its_head_and_its_pooler(checkpoint):
    weigh(checkpoint, lambda weights: {name: value for name, value in weights.items() if "pooler" not in name})
    pretrained.load(str(checkpoint), LABELS)


def test_the_names_of_old_checkpoints_are_known(checkpoint):
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def rename(weights):
        for new, name in old.items():
            weights = {key.replace(new, name): value for key, value in weights.items()}
        return {f"bert.{key}": value for key, value in weights.items()}

    weigh(checkpoint, rename)
    pretrained.load(str(checkpoint), LABELS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: {k: v for k, v in w.items() if "layer.1.output.dense" not in k}, r"2 of them, such as bert\."),
        (lambda w: {f"other.{k}": v for k, v in w.items()}, "do not fit"),
        (lambda w: {}, "do not fit"),
        (lambda w: {k: v * np.float32("nan") if "layer.0" in k else v for k, v in w.items()}, "not all finite"),
    ],
)
def test_part_of_the_weights_is_refused(checkpoint, change, says):
    weigh(checkpoint, change)
    with pytest.raises(PotstillError, match=f"checkpoint cannot be loaded as a text classifier: .*{says}"):
        pretrained.load(str(checkpoint), LABELS)


@pytest.mark.parametrize("change", [{"vocab_size": 500}, {"intermediate_size": 32}, {"num_hidden_layers": 3}])
def test_a_config_of_other_weights_is_refused(checkpoint, change):
    rewrite(checkpoint / "config.json", lambda config: config | change)
    with pytest.raises(PotstillError, match=r"weights do not fit its config\.json"):
        pretrained.load(str(checkpoint), LABELS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "kind"),
    [("num_hidden_layers", "bert"), ("num_hidden_layers", "roberta"), ("num_layers", "t5"),
     ("n_layers", "distilbert"), ("num_hidden_layers", "mpnet"), ("n_layer", "xlnet")],
)  # fmt: skip
def test_a_config_of_fewer_layers_is_refused_and_other_heads_are_not(data, tmp_path, key, kind):
    """The checkpoint was saved without a head, or with that of another task."""
    base = make_checkpoint(kind, tmp_path / kind, data.train["text"].tolist())
    layers = json.loads((base / "config.json").read_text())[key]
    for i, head in enumerate([None, AutoModelForQuestionAnswering, AutoModelForPreTraining]):
        folder = shutil.copytree(base, tmp_path / f"{kind}-{i}")
        if head:
            head.from_pretrained(base).save_pretrained(folder)
        pretrained.load(str(folder), LABELS)
        if kind not in ("t5", "xlnet"):
            pretrained.load_as(AutoModelForMaskedLM, "a masked-language model", str(folder), 0)
        rewrite(folder / "config.json", lambda config: config | {key: layers - 1})
        with pytest.raises(PotstillError, match=r"weights do not fit its config\.json"):
            pretrained.load(str(folder), LABELS)


def test_a_config_of_no_layers_is_refused(checkpoint):
    rewrite(checkpoint / "config.json", lambda config: config | {"num_hidden_layers": 0})
    with pytest.raises(PotstillError, match=r"weights do not fit its config\.json"):
        pretrained.load(str(checkpoint), LABELS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_hidden_layers": "x"}, r"its config\.json does not fit .*'num_hidden_layers': .*got str"),
        ({"hidden_act": "x"}, r"its config\.json does not fit .*'x'"),
        (None, r"config\.json is not a JSON object \(found: null\)"),
        ([], r"config\.json is not a JSON object"),
    ],
)
def test_a_config_that_is_none_is_named(checkpoint, change, says):
    rewrite(checkpoint / "config.json", lambda config: config | change if isinstance(change, dict) else change)
    with pytest.raises(PotstillError, match=f"checkpoint cannot be loaded as a text classifier: {says}"):
        pretrained.load(str(checkpoint), LABELS)
