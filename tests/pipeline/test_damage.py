"""Damaged files and files of another shape: an error of one line that names the file; checkpoints are discarded."""

import importlib.util
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from potstill.ablate.ablation import Row, is_row
from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.data import transfer
from potstill.data.dataset import SPLITS, Dataset
from potstill.engine import local, shards
from potstill.evaluate.predictions import Predictions
from potstill.label.logits import label
from potstill.label.params import LabelParams
from potstill.pool import vocabulary
from potstill.scoring import model, pretrained
from potstill.scoring.ensemble import merge
from potstill.teacher import checkpointing
from tests.conftest import CHECKPOINTS, make_checkpoint, make_transfer
from tests.project import ROOT

LABELS = ["a", "b", "c"]
AGAIN = "run `make verify`, then `dvc repro`"


def rewrite(path, change):
    """Change the values of a JSON file."""
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def weigh(folder, change):
    """Change the weights of a checkpoint."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})


def spoil(path):
    """Damage the pages of a Parquet file's first column, but not its footer."""
    column = pq.read_metadata(path).row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + column.total_compressed_size] = b"\x5a" * column.total_compressed_size
    path.write_bytes(content)


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


@pytest.fixture
def trained(bert, tmp_path):
    """Return the folder of a teacher."""
    network, tokenizer = pretrained.load(str(bert), LABELS)
    folder = tmp_path / "teacher"
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model.describe(folder, "checkpoint", LABELS, 32)
    return folder


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
    def test_one_that_is_not_whole_is_refused(self, checkpoint, trained, damage):
        spoiled, says = TOKENIZERS[damage]
        for folder in (checkpoint, trained):
            spoiled(folder)
        with pytest.raises(PotstillError, match=f"{checkpoint} cannot be loaded as a text classifier: .*{says}"):
            pretrained.load(str(checkpoint), LABELS)
        with pytest.raises(PotstillError, match=f"{checkpoint} cannot be loaded as a masked.*{says}.*get it again"):
            pretrained.load_as(AutoModelForMaskedLM, "a masked-language model", str(checkpoint), 0)
        with pytest.raises(PotstillError, match=f"{trained} cannot be loaded .*{says}.*{AGAIN}"):
            model.load(trained)

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


class TestWeights:
    """`transformers` initialises missing weights at random."""

    def test_a_base_checkpoint_may_lack_its_head_and_its_pooler(self, checkpoint):
        weigh(checkpoint, lambda weights: {name: value for name, value in weights.items() if "pooler" not in name})
        pretrained.load(str(checkpoint), LABELS)

    def test_the_names_of_old_checkpoints_are_known(self, checkpoint):
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
    def test_part_of_the_weights_is_refused(self, checkpoint, change, says):
        weigh(checkpoint, change)
        with pytest.raises(PotstillError, match=f"checkpoint cannot be loaded as a text classifier: .*{says}"):
            pretrained.load(str(checkpoint), LABELS)

    @pytest.mark.parametrize("change", [{"vocab_size": 500}, {"intermediate_size": 32}, {"num_hidden_layers": 3}])
    def test_a_config_of_other_weights_is_refused(self, checkpoint, change):
        rewrite(checkpoint / "config.json", lambda config: config | change)
        with pytest.raises(PotstillError, match=r"weights do not fit its config\.json"):
            pretrained.load(str(checkpoint), LABELS)

    @pytest.mark.parametrize(
        ("key", "kind"),
        [("num_hidden_layers", "bert"), ("num_hidden_layers", "roberta"), ("num_layers", "t5"),
         ("n_layers", "distilbert"), ("num_hidden_layers", "distilroberta"), ("n_layer", "xlnet")],
    )  # fmt: skip
    def test_a_config_of_fewer_layers_is_refused_and_other_heads_are_not(self, data, tmp_path, key, kind):
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

    def test_a_config_of_no_layers_is_refused(self, checkpoint):
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
    def test_a_config_that_is_none_is_named(self, checkpoint, change, says):
        rewrite(checkpoint / "config.json", lambda config: config | change if isinstance(change, dict) else change)
        with pytest.raises(PotstillError, match=f"checkpoint cannot be loaded as a text classifier: {says}"):
            pretrained.load(str(checkpoint), LABELS)

    @pytest.mark.parametrize(
        "change",
        [
            lambda w: {k: v for k, v in w.items() if k != "classifier.bias"},
            lambda w: {k: v for k, v in w.items() if "pooler" not in k},
            lambda w: w | {"bert.encoder.layer.2.output.dense.bias": w["bert.encoder.layer.1.output.dense.bias"]},
        ],
    )
    def test_a_teacher_lacks_nothing(self, trained, change):
        weigh(trained, change)
        with pytest.raises(PotstillError, match=rf"weights do not fit its config\.json .*{AGAIN}"):
            model.load(trained)

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"null", b'{"half": '])
    def test_a_file_that_is_not_whole_is_refused(self, trained, name, content):
        (trained / name).write_bytes(content)
        with pytest.raises(PotstillError, match=f"{trained} cannot be loaded as a text classifier: .*{AGAIN}"):
            model.load(trained)


class TestFacts:
    """`teacher.json`."""

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda _: None, "NoneType instead of dict"),
            (lambda _: [], "list instead of dict"),
            (lambda facts: facts | {"kind": None}, "`kind`"),
            (lambda facts: facts | {"labels": None}, "`labels`: .*found: null"),
            (lambda facts: facts | {"labels": ["a", None, "c"]}, r"`labels\.1`"),
            (lambda facts: facts | {"labels": ["b", "a", "c"]}, r"`labels` are not those of config\.json"),
            (lambda facts: facts | {"labels": ["a", "b"]}, r"`labels` are not those of config\.json"),
            (lambda facts: facts | {"max_length": None}, "`max_length`"),
            (lambda facts: facts | {"max_length": "128"}, "`max_length`"),
            (lambda facts: facts | {"multi_label": None}, "`multi_label`"),
            (lambda facts: facts | {"multi_label": True}, "`multi_label`"),
            (lambda facts: {key: value for key, value in facts.items() if key != "labels"}, "`labels`: Field required"),
        ],
    )
    def test_another_shape_is_an_error(self, trained, change, says):
        rewrite(trained / "teacher.json", change)
        with pytest.raises(PotstillError, match=f"teacher.json.*{says}.*[Rr]{AGAIN[1:]}"):
            model.load(trained)

    def test_a_table_of_other_labels_is_refused(self, tmp_path):
        pd.DataFrame({"text": ["x"], "b": [0.2], "a": [0.8]}).to_parquet(tmp_path / "table.parquet")
        model.describe(tmp_path, "table", ["b", "a"])
        np.testing.assert_allclose(np.exp(model.load(tmp_path).logits(["x"])), [[0.2, 0.8]], rtol=1e-5)
        model.describe(tmp_path, "table", ["a", "b"])
        with pytest.raises(PotstillError, match=r"teacher\.json: `labels` are not those of table\.parquet"):
            model.load(tmp_path)
        spoil(tmp_path / "table.parquet")
        with pytest.raises(PotstillError, match=rf"table\.parquet: it cannot be read .*{AGAIN}"):
            model.load(tmp_path)


def stored(data, folder):
    """The outputs of the stages, by the names of `READ`."""
    (folder / "pool").mkdir()
    data.save(folder / "prepared")
    texts = data.train["text"].tolist()
    logits = np.zeros((len(texts), len(data.labels)))
    shutil.copytree(make_transfer(texts, ["train"] * len(texts), logits).texts.path.parent, folder / "transfer")
    shutil.copytree(folder / "transfer", folder / "made")
    models = {"tfidf": np.ones((60, 3)), "student": np.ones((60, 3))}
    Predictions(data.test["text"].tolist(), data.targets("test"), models).save(folder / "evaluate/test.parquet")
    return folder


def merged(folder):
    """Average the logits of teachers."""
    return merge(folder / "made/pool.parquet", [folder / "made/logits.parquet"], folder / "pool", multi_label=False)


def transferred(folder):
    """Read a whole transfer set."""
    return list(transfer.read(folder / "transfer", ["c0", "c1", "c2"]).texts)


# Of each file, what reads it, and the columns that are spoilt; "" for what is wrong with all of them.
READ = {
    "prepared/train.parquet": (lambda folder: Dataset.load(folder / "prepared"), ["", "text", "label"]),
    "prepared/unlabelled.parquet": (lambda folder: list(Dataset.texts(folder / "prepared", "unlabelled")), ["text"]),
    "made/pool.parquet": (merged, ["", "text"]),
    "made/logits.parquet": (merged, ["c0"]),
    "transfer/pool.parquet": (transferred, ["", "text"]),
    "transfer/logits.parquet": (transferred, ["", "c0"]),
    "evaluate/test.parquet": (lambda folder: Predictions.load(folder / "evaluate/test.parquet"), ["", "text", "label"]),
}
# Faults of a table, and the message.
TABLES = [
    (lambda table: table[:0], "it has no rows"),
    (lambda table: table.drop_columns(table.column_names[-1:]), "column . is nothing instead of '"),
    (lambda table: table.select(table.column_names[::-1]), "column 1 is '.*' instead of '"),
    (lambda table: table.rename_columns([*table.column_names[:-1], "x 0"]), "column . is 'x 0' instead of '"),
    (lambda table: table.append_column("x 0", table.columns[0]), "column .* nothing"),
]
BYTES = pa.array([b"\xff"]).view(pa.string())
# The value of all rows of a column, and the message.
VALUES = {
    "text": [
        (pa.nulls(1, pa.string()), "the column 'text' lacks a value"),
        (BYTES, ".*Invalid UTF8"),
        (pa.array([1]), "the column 'text' is of type int64 instead of large_string"),
        (pa.array([{"a": 1}]), "the column 'text' is of type struct.* instead of large_string"),
    ],
    "label": [
        (pa.nulls(1, pa.int64()), "the column 'label' lacks a value"),
        (pa.array([99]), r"a label that dataset\.json does not name"),
        (pa.array([-1]), r"a label that dataset\.json does not name"),
        (pa.array([1.0]), "the column 'label' is of type double instead of int64"),
        (pa.array([True]), "the column 'label' is of type bool instead of int64"),
    ],
    "c0": [
        (pa.nulls(1, pa.float32()), "the column 'c0' lacks a value"),
        (pa.array(["x"]), "the column 'c0' is of type string instead of float"),
    ],
}


def put(value, name):
    """Return a function that sets all rows of a column to one value."""
    return lambda table: table.set_column(table.column_names.index(name), name, pa.concat_arrays([value] * len(table)))


FAULTS = {"": TABLES} | {name: [(put(value, name), says) for value, says in VALUES[name]] for name in VALUES}


class TestStages:
    """The files that a stage reads from another one."""

    @pytest.mark.parametrize("name", [*SPLITS, "unlabelled"])
    def test_prepared_data(self, data, tmp_path, name):
        data.save(tmp_path / "data")
        path = tmp_path / f"data/{name}.parquet"
        spoil(path)
        for read in (Dataset.load, lambda folder: list(Dataset.texts(folder, name))):
            with pytest.raises(PotstillError, match=f"{path}: it cannot be read .*{AGAIN}"):
                read(tmp_path / "data")

    @pytest.mark.parametrize("task", ["data", "mixed"])
    def test_labels_without_a_name(self, task, tmp_path, request):
        request.getfixturevalue(task).save(tmp_path / "data")
        Dataset.load(tmp_path / "data")
        rewrite(tmp_path / "data/dataset.json", lambda facts: facts | {"labels": facts["labels"][:2]})
        with pytest.raises(
            PotstillError, match=r"train\.parquet: it cannot be read \(a label that dataset\.json does not"
        ):
            Dataset.load(tmp_path / "data")

    @pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"labels": null}', '{"labels": [1, 2]}', "\x00"])
    def test_json(self, data, tmp_path, content):
        data.save(tmp_path / "data")
        (tmp_path / "data/dataset.json").write_text(content)
        with pytest.raises(PotstillError, match=rf"dataset\.json: it cannot be read .*{AGAIN}"):
            Dataset.load(tmp_path / "data")

    @pytest.mark.parametrize("name", ["pool", "logits"])
    def test_transfer_set(self, data, name):
        texts = data.train["text"].tolist()
        folder = make_transfer(texts, ["train"] * len(texts), np.zeros((len(texts), 3))).texts.path.parent
        spoil(folder / f"{name}.parquet")

        with pytest.raises(PotstillError, match=rf"{name}\.parquet: it cannot be read .*{AGAIN}"):
            list(transfer.read(folder, ["c0", "c1", "c2"]).texts)

    def test_pool_and_answers(self, trained, tmp_path):
        pool, answers, target = tmp_path / "pool.parquet", tmp_path / "logits.parquet", tmp_path / "out"
        target.mkdir()
        tables = {
            pool: pd.DataFrame({"text": ["x", "y"] * 50, "source": "train"}),
            answers: pd.DataFrame({"a": np.ones(100, np.float32), "b": np.zeros(100, np.float32)}),
        }
        for damaged in tables:
            for path, table in tables.items():
                table.to_parquet(path, index=False)
            spoil(damaged)
            with pytest.raises(PotstillError, match=f"{damaged}: it cannot be read .*{AGAIN}"):
                merge(pool, [answers], target, multi_label=False)
        tables[answers].head(99).to_parquet(answers, index=False)
        tables[pool].to_parquet(pool, index=False)
        with pytest.raises(PotstillError, match=f"{answers}: it cannot be read .*not as many rows as the pool has"):
            merge(pool, [answers], target, multi_label=False)

        spoil(pool)
        settings = LabelParams(
            teachers=["t"], batch_size=8, precision="fp32", engine="local", workers=1, ray_address=None, storage=None
        )
        with pytest.raises(PotstillError, match=f"{pool}: it cannot be read .*{AGAIN}"):
            label(trained, pool, tmp_path / "labels", settings, tmp_path / "scratch")
        pq.write_table(pa.table({"text": BYTES}), pool)
        with pytest.raises(PotstillError, match=f"{pool}: it cannot be read .*Invalid UTF8.*{AGAIN}"):
            label(trained, pool, tmp_path / "labels", settings, tmp_path / "scratch")

    def test_a_logit_that_is_not_finite(self):
        with pytest.raises(
            PotstillError, match=rf"logits\.parquet: it cannot be read \(a logit that is not finite.*{AGAIN}"
        ):
            make_transfer(["x"], ["train"], np.array([[0, np.inf]]))

    def test_answers(self, tmp_path):
        path = tmp_path / "test.parquet"
        Predictions(["x"] * 50, np.zeros(50, int), {"student": np.ones((50, 2))}).save(path)
        spoil(path)
        with pytest.raises(PotstillError, match=f"{path}: it cannot be read .*{AGAIN}"):
            Predictions.load(path)
        pd.DataFrame({"text": ["x"], "label": [0]}).to_parquet(path)
        with pytest.raises(PotstillError, match=f"{path}: it cannot be read .it has no probabilities"):
            Predictions.load(path)

    @pytest.mark.parametrize(
        ("name", "change", "says"),
        [(name, *fault) for name, (_, columns) in READ.items() for column in columns for fault in FAULTS[column]],
    )
    def test_other_columns_or_values(self, data, tmp_path, name, change, says):
        """Pages have no checksums: after a bit flip, Arrow may still read the file."""
        path, (read, _) = stored(data, tmp_path) / name, READ[name]
        read(tmp_path)
        pq.write_table(change(pq.read_table(path)), path)
        with pytest.raises(PotstillError, match=rf"^{path}: it cannot be read \({says}.*{AGAIN}"):
            read(tmp_path)

    def test_answers_that_a_table_lacks(self, tmp_path):
        probabilities = np.array([[0.5, 0.5], [np.nan, np.nan]], np.float32)
        Predictions(["x", "y"], np.array([0, 1]), {"student": probabilities}).save(tmp_path / "test.parquet")
        np.testing.assert_array_equal(
            Predictions.load(tmp_path / "test.parquet").probabilities["student"], probabilities
        )

    def test_no_unlabelled_text_is_fine(self, data, tmp_path):
        replace(data, unlabelled=data.unlabelled[:0]).save(tmp_path)
        assert Dataset.load(tmp_path).unlabelled.empty
        assert list(Dataset.texts(tmp_path, "unlabelled")) == []

    def test_labels_where_no_text_has_one(self, mixed, tmp_path):
        replace(mixed, test=pd.DataFrame({"text": ["x", "y"], "label": [[], []]})).save(tmp_path)
        np.testing.assert_array_equal(Dataset.load(tmp_path).targets("test"), np.zeros((2, 3), bool))


class TestScratch:
    """Checkpoints of a killed run: if they are damaged, their work is repeated."""

    @pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"accuracy": 0.5}', "\x00", None])
    def test_a_trial_of_the_ablation(self, monkeypatch, tmp_path, capsys, content):
        spec = importlib.util.spec_from_file_location("ablate_stage", ROOT / "src/ablate.py")
        stage = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(stage)
        made = dict.fromkeys(Row.__annotations__, 1.0)
        monkeypatch.setattr(stage, "read", tuple)
        monkeypatch.setattr(stage, "run", lambda *_: made)
        trial = stage.Trial("pool", "1", {})
        path = tmp_path / f"{files.cache_key(trial.key)}.json"
        for repeats, again in ((1, True), (2, False)):
            if again:
                path.mkdir() if content is None else path.write_text(content)
            assert stage.result(trial, None, None, tmp_path) == made, repeats
            assert json.loads(path.read_text()) == made
            said = f"note: {path}: damaged or of another version, so its work is repeated\n"
            assert capsys.readouterr().out == (said if again else "")
        assert not is_row(made | {"accuracy": None})

    @pytest.mark.parametrize("change", ["", "null", "[]", "{}", "no cut", "other rows", "null number"])
    def test_a_marker_of_a_shard(self, trained, tmp_path, change):
        pool = tmp_path / "pool.parquet"
        pd.DataFrame({"text": [f"happy {i}" for i in range(6)]}).to_parquet(pool, index=False, row_group_size=3)
        jobs = shards.plan([str(pool)], "text")
        task = shards.Task(lambda texts: (pq.read_table(pool), {"cut": 0}), "text", str(tmp_path), "m", ("cut",))
        done = shards.process(task, jobs, lambda task, jobs: local.each(task, jobs, 1))
        marker = tmp_path / "_000001.done"
        marked = json.loads(marker.read_text())
        changed = {
            "no cut": {key: value for key, value in marked.items() if key != "cut"},
            "other rows": marked | {"rows": 4},
            "null number": marked | {"number": None},
        }
        marker.write_text(json.dumps(changed[change]) if change in changed else change)
        counted = []
        again = shards.process(task, jobs, lambda task, jobs: local.each(task, jobs, 1), counted.append)
        assert again == done
        assert counted == [3, 3]
        assert json.loads(marker.read_text()) == marked

    @pytest.mark.parametrize("damage", ["content", "checksum", "no checksum", "a file"])
    def test_a_checkpoint(self, tmp_path, capsys, damage):
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
