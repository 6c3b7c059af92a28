"""Multi-label classification in every layer, from reading tables to serving."""

import csv
import json
import random

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from torch.nn import functional

from potstill.ablate import ablation as ablation
from potstill.ablate.ablation import plan
from potstill.ablate.params import AblateParams
from potstill.advise.decide import decide
from potstill.advise.measure import measure
from potstill.advise.report import markdown
from potstill.baseline.network import train_on_labels
from potstill.baseline.params import BaselineParams
from potstill.core import tracking
from potstill.core.class_weights import class_weights
from potstill.core.errors import PotstillError
from potstill.core.labels import accuracy, choose, label_names, right
from potstill.data.dataset import Dataset
from potstill.prepare.split import count_labels, keep, split_off
from potstill.runtime.model import Student
from potstill.scoring import model as teachers
from potstill.scoring.ensemble import average
from potstill.scoring.tfidf import Tfidf
from potstill.student import training, vocabulary
from potstill.student.distil import distil
from potstill.student.params import StudentParams
from potstill.teacher import table as answers
from tests.evaluate.examples import KNOWN
from tests.pipeline.stages import NETWORK, run_stages
from tests.prepare_project import Project
from tests.settings import baseline_settings, mixed_logits, quick
from tests.settings import student_settings as settings
from tests.tasks import FEELINGS, make_mixed_texts, make_transfer

# Tables


def mixed_rows(number: int, seed: int = 0) -> pd.DataFrame:
    rows = make_mixed_texts(number, seed)
    return rows.assign(label=[[list(FEELINGS)[id_] for id_ in ids] for ids in rows["label"]])


def test_every_form_gives_the_same_labels(project: Project) -> None:
    rows = mixed_rows(60)
    joined = rows.assign(label=rows["label"].map("|".join))
    rows.to_json(project.data / "a.jsonl", orient="records", lines=True)
    rows.to_parquet(project.data / "a.parquet")
    joined.to_json(project.data / "b.jsonl", orient="records", lines=True)
    joined.to_csv(project.data / "a.csv", index=False)
    joined.to_csv(project.data / "a.tsv", index=False, sep="\t")
    (project.data / "a.txt").write_text("".join(f"{text};{label}\n" for text, label in joined.itertuples(index=False)))
    expected, facts = project.prepare(train="a.jsonl", multi_label=True)
    assert expected.labels == sorted(FEELINGS)
    assert expected.multi_label
    assert json.loads((project.root / "data/prepared/dataset.json").read_text())["multi_label"] is True
    assert sum(facts["without_label"].values()) == (rows["label"].map(len) == 0).sum() > 0
    for name in ("a.parquet", "b.jsonl", "a.csv", "a.tsv", "a.txt"):
        found, _ = project.prepare(train=name, multi_label=True)
        for split in ("train", "validation", "test"):
            np.testing.assert_array_equal(found.targets(split), expected.targets(split))
            assert found.split(split)["text"].tolist() == expected.split(split)["text"].tolist()


def test_labels_are_the_ones_that_were_given(project: Project) -> None:
    texts = ["both", "none", "one", "other", "twice", *(f"more {i}" for i in range(8))]
    labels = ["joy|love", "", " joy ", "love", "joy|joy", *["joy", "love"] * 4]
    pd.DataFrame({"text": texts, "label": labels}).to_csv(project.data / "train.csv", index=False)
    for split in ("validation", "test"):
        pd.DataFrame({"text": [split], "label": ["joy"]}).to_csv(project.data / f"{split}.csv", index=False)
    data, facts = project.prepare(multi_label=True)
    assert data.labels == ["joy", "love"]
    assert data.targets("train")[:5].tolist() == [[1, 1], [0, 0], [1, 0], [0, 1], [1, 0]]
    assert facts["labels"]["train"] == {"joy": 7, "love": 6}
    assert facts["without_label"] == {"train": 1, "validation": 0, "test": 0}
    assert facts["removed"]["train"]["rows"] == facts["two_labels"] == 0


def test_lists_of_ids_are_read_with_label_names(project: Project) -> None:
    rows = make_mixed_texts(60, 0)
    rows.to_parquet(project.data / "train.parquet")
    data, _ = project.prepare(multi_label=True, label_names=["x", "y", "z"])
    assert data.labels == ["x", "y", "z"]
    known = dict(zip(rows["text"], rows["label"], strict=True))
    for text, ids in data.train.itertuples(index=False):
        assert list(ids) == known[text]


def test_a_hubs_lists_of_class_labels_keep_their_names(project: Project) -> None:
    rows = make_mixed_texts(60, 0)
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.Sequence(datasets.ClassLabel(names=list(FEELINGS)))}
    )
    made = datasets.Dataset.from_dict({name: rows[name].tolist() for name in ("text", "label")}, features)
    datasets.DatasetDict({"train": made}).save_to_disk(project.data / "hub")
    hub = {"dataset": str(project.data / "hub"), "config": None, "revision": None}
    data, _ = project.prepare(source="hub", hub=hub, multi_label=True)
    assert data.labels == list(FEELINGS)
    known = dict(zip(rows["text"], rows["label"], strict=True))
    assert all(list(ids) == known[text] for text, ids in data.test.itertuples(index=False))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["a|b"] * 8 + ["a||b"], "line 9 has no label"),
        ([["a", "b"]] * 8 + [["a|b"]], "'a|b', but | separates labels"),
        ([["a", "b"]] * 8 + [[["a"]]], "line 9 has nested lists of labels, [['a']]. List names or ids only"),
        (
            ["a|b"] * 8 + ["['a', 'b']"],
            """line 9 has the labels "['a', 'b']", which is a list as a string. Join labels by |""",
        ),
        (["a|b"] * 8 + ['["a|b"]'], "line 9 has the labels"),
        (["a|b"] * 8 + [" []"], "line 9 has the labels ' []', which is a list as a string"),
        (["a|b"] * 8 + ["c"], "class 'c' has 1 example"),
        (["a"] * 8, "only the label 'a'"),
        ([""] * 8, "no labels"),
    ],
)
def test_bad_labels_end_in_one_line(project: Project, labels, says) -> None:
    rows = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
    rows.to_json(project.data / "train.jsonl", orient="records", lines=True)
    project.fails("mine/train.jsonl", says, multi_label=True)


@pytest.mark.parametrize("vectors", [[[0, 1, 0], [1, 0, 0]], [[0, 1], [0, 0]], [[True, False]], [[0.0, 1.0, 1.0]]])
@pytest.mark.parametrize("source", ["files", "hub"])
def test_vectors_of_0_and_1_are_no_ids(project: Project, vectors, source) -> None:
    columns = {"text": [f"text {i}" for i in range(40)], "label": [vectors[i % len(vectors)] for i in range(40)]}
    pd.DataFrame(columns).to_parquet(project.data / "train.parquet")
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns)}).save_to_disk(project.root / "saved")
    hub = {"dataset": "saved", "config": None, "revision": None}
    shown = ", ".join(map(str, vectors[0]))
    says = f": the labels are multi-hot vectors of 0 and 1 (found: {shown}). List the names or ids"
    project.fails(says, multi_label=True, source=source, hub=hub)


def test_vectors_of_0_and_1_are_no_ids_that_have_names(project: Project) -> None:
    kind = datasets.Sequence(datasets.ClassLabel(names=["no", "yes"]))
    features = datasets.Features({"text": datasets.Value("string"), "label": kind})
    columns = {"text": [f"text {i}" for i in range(40)], "label": [[0, 1, 0], [1, 0, 0]] * 20}
    made = datasets.Dataset.from_dict(columns, features)
    datasets.DatasetDict({"train": made}).save_to_disk(project.root / "saved")
    hub = {"dataset": "saved", "config": None, "revision": None}
    project.fails("saved (train): the labels are multi-hot vectors", multi_label=True, source="hub", hub=hub)


def test_lists_of_the_ids_0_and_1_are_read(project: Project) -> None:
    rows = pd.DataFrame(
        {"text": [f"text {i}" for i in range(40)], "label": [[[0], [1], [0, 1], []][i % 4] for i in range(40)]}
    )
    rows.to_parquet(project.data / "train.parquet")
    rows[2:3].to_parquet(project.data / "test.parquet")
    assert project.prepare(multi_label=True)[0].test["label"][0].tolist() == [0, 1]


def test_a_label_that_train_lacks_is_named(project: Project) -> None:
    mixed_rows(60).to_json(project.data / "train.jsonl", orient="records", lines=True)
    pd.DataFrame({"text": ["x"], "label": ["joy|envy"]}).to_csv(project.data / "test.csv", index=False)
    project.fails("mine/test.csv: row 1 has the label 'envy', which no row of mine/train.jsonl has", multi_label=True)


def test_lists_of_labels_are_refused_where_a_text_has_one(project: Project) -> None:
    mixed_rows(60).to_json(project.data / "train.jsonl", orient="records", lines=True)
    project.fails("mine/train.jsonl: line ", "`prepare.multi_label`")


def test_the_demo_corpus_has_one_label_per_text(project: Project) -> None:
    project.fails("`prepare.multi_label`", source="demo", multi_label=True)


def rare(number: int) -> pd.DataFrame:
    """Texts of which 2% have the last label, and those always with the first."""
    rng = np.random.default_rng(0)
    ids = [(0, 3) if i % 50 == 0 else tuple(np.flatnonzero(rng.random(3) < 0.4).tolist()) for i in range(number)]
    return pd.DataFrame({"text": [f"text {i}" for i in range(number)], "label": pd.Series(ids, dtype=object)})


@pytest.mark.parametrize("size", [20, 100])
def test_a_split_has_its_share_of_every_label(size):
    rows = rare(400)
    rest, sample = split_off(rows, size, ["a", "b", "c", "d"], 0, "it")
    assert len(sample) == size
    assert sorted([*rest.index, *sample.index]) == list(rows.index)
    whole, parts = count_labels(rows["label"], 4), count_labels(sample["label"], 4)
    for count, held in zip(whole, parts, strict=True):
        assert held == pytest.approx(count * size / 400, abs=0.05 * size + 4)
    assert 0 < parts[3] < whole[3]


def test_few_labels_hold_one_of_each():
    rows = rare(400)
    kept, rest = keep(rows, 8, 4, 0, "it")
    assert len(kept) == 8
    assert len(rest) == 392
    assert min(count_labels(kept["label"], 4)) >= 1


# Decisions and scores


def test_a_prediction_is_right_if_all_labels_are():
    found = np.array([[0.9, 0.2], [0.4, 0.6], [0.1, 0.1]])
    chosen = choose(found, [0.3, 0.5])
    assert chosen.tolist() == [[True, False], [True, True], [False, False]]
    known = np.array([[1, 0], [0, 1], [0, 0]], bool)
    assert right(chosen, known).tolist() == [True, False, True]
    assert accuracy(found, known, even=0.5) == 1
    assert label_names(chosen, ["a", "b"]) == ["a", "a|b", ""]


# Models


def test_a_prepared_task_is_read_as_it_was_written(mixed, tmp_path):
    mixed.save(tmp_path / "data")
    again = Dataset.load(tmp_path / "data")
    assert again.multi_label
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(again.targets(split), mixed.targets(split))


def test_tfidf_has_a_regression_per_label(mixed, tmp_path):
    model = Tfidf.fit(mixed.train, C=10.0, class_weight=None)
    texts = mixed.test["text"].tolist()
    assert accuracy(model.predict_proba(texts), mixed.targets("test"), even=0.5) > 0.9
    model.save(tmp_path / "tfidf")
    again = Tfidf.load(tmp_path / "tfidf")
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))
    assert again.parameters == model.parameters


def test_tfidf_takes_a_label_that_every_text_has(mixed):
    train = mixed.train.assign(label=[[*ids, 3] for ids in mixed.train["label"]])
    assert Tfidf.fit(train, C=1.0, class_weight=None).predict_proba(["i feel happy"])[0, 3] > 0.99


def test_binary_kl_is_the_sum_over_labels():
    one, other = torch.randn(5, 3, generator=torch.manual_seed(0)), torch.randn(5, 3)
    pairs = [torch.stack([logits, torch.zeros_like(logits)], -1).reshape(-1, 2) for logits in (one, other)]
    for temperature in (1.0, 2.0):
        expected = 3 * training.kl(*pairs, temperature)
        assert training.binary_kl(one, other, temperature) == pytest.approx(expected.item(), rel=1e-5)
    assert training.binary_kl(other, other) == pytest.approx(0, abs=1e-6)
    known = other > 0
    expected = 3 * functional.binary_cross_entropy_with_logits(one, known.float())
    assert training.binary_cross_entropy(one, known) == pytest.approx(expected.item(), rel=1e-5)


def test_balanced_weights_make_a_label_and_its_absence_count_alike():
    known = np.array([[1, 1], [0, 1], [0, 1], [0, 1]], bool)
    weight = class_weights(known, 2)
    np.testing.assert_allclose(weight, [[4 / 6, 2], [2, 0.5]])
    logits = torch.tensor([[0.5, 1.0], [-1.0, 2.0], [0.0, 0.0], [1.0, -1.0]])
    single = functional.binary_cross_entropy_with_logits(logits, torch.tensor(known).float(), reduction="none").numpy()
    expected = (single * np.where(known, weight[1], weight[0])).sum(1).mean()
    loss = training.binary_cross_entropy(logits, torch.tensor(known), torch.from_numpy(weight))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_balanced_models_find_more_of_a_rare_label(mixed):
    rarely = [[id_ for id_ in ids if id_ != 2 or i % 6 == 0] for i, ids in enumerate(mixed.train["label"])]
    train = mixed.train.assign(label=rarely)
    texts = mixed.test["text"].tolist()
    plain, balanced = (Tfidf.fit(train, 1.0, weight).predict_proba(texts)[:, 2] for weight in (None, "balanced"))
    assert (balanced >= 0.5).sum() > (plain >= 0.5).sum()
    both = (baseline_settings(metric="macro_f1", class_weight=weight) for weight in (None, "balanced"))
    plain, balanced = (
        train_on_labels(mixed.labels, train, mixed.validation, params).student.predict_proba(texts) for params in both
    )
    assert balanced[:, 2].mean() > plain[:, 2].mean()


def test_the_vocabulary_is_chosen_by_information_about_each_label(mixed):
    texts = mixed.train["text"].tolist()
    params = settings(vocab_size=16, informative_share=1.0, fingerprint_bits=None, embedding_rows=5)
    lookup, words = vocabulary.build(texts, mixed.targets("train").astype(float), params, multi_label=True)
    assert {word for words in FEELINGS.values() for word in words} <= set(words)
    row = dict(zip(words, lookup.rows, strict=True))
    for alike in FEELINGS.values():
        assert len({row[word] for word in alike}) == 1
    assert len({row[alike[0]] for alike in FEELINGS.values()}) == 3


@pytest.mark.parametrize("architecture", ["mlp", "bigru"])
@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_a_student_learns_from_a_teacher(architecture, loss, mixed):
    params = settings(architecture=architecture, loss=loss, learning_rate=0.05)
    trained = distil(mixed.labels, mixed.train["text"].tolist(), mixed_logits(mixed), mixed.validation, params)
    assert trained.student.thresholds == [0.5] * 3
    found = trained.student.predict_proba(mixed.test["text"])
    assert accuracy(found, mixed.targets("test"), even=0.5) > 0.9
    assert trained.best["validation_accuracy"] == accuracy(
        trained.student.predict_proba(mixed.validation["text"]), mixed.targets("validation"), even=0.5
    )


def test_a_student_learns_from_hard_labels(mixed):
    params = baseline_settings(architecture="bigru", weight_bits=4, fingerprint_bits=None)
    made = train_on_labels(mixed.labels, mixed.train, mixed.validation, params).student
    said = made.predict(mixed.test["text"])
    expected = [tuple(mixed.labels[id_] for id_ in ids) for ids in mixed.test["label"]]
    assert np.mean([one == other for one, other in zip(said, expected, strict=True)]) > 0.9
    assert () in said.tolist()


def test_probabilities_of_a_table_need_not_sum_to_one(tmp_path):
    path = tmp_path / "llm.csv"
    pd.DataFrame({"text": ["Both", "none"], "a": [0.9, 0.0], "b": [1.0, 0.2]}).to_csv(path, index=False)
    with pytest.raises(PotstillError, match="each row must sum to one"):
        answers.read(path, ["a", "b"])
    answers.read(path, ["a", "b"], multi_label=True).to_parquet(tmp_path / "table.parquet")
    teachers.describe(tmp_path, "table", ["a", "b"], multi_label=True)
    found = teachers.load(tmp_path).logits(["both", "NONE", "else"])
    np.testing.assert_allclose(expit(found), [[0.9, 1], [0, 0.2], [np.nan] * 2], atol=1e-5)
    pd.DataFrame({"text": ["x"], "a": [1.1], "b": [0]}).to_csv(path, index=False)
    with pytest.raises(PotstillError, match=r"row 1: the probabilities are \[1.1, 0.0\]: each must be from 0 to 1"):
        answers.read(path, ["a", "b"], multi_label=True)


def test_several_teachers_are_averaged_without_centring():
    one, other = np.array([[3.0, 2.0]]), np.array([[1.0, -4.0]])
    np.testing.assert_array_equal(average([one, other], multi_label=True), [[2, -1]])
    np.testing.assert_array_equal(average([one, other]), [[1.5, -1.5]])


def test_predictions_are_written_with_the_names_of_the_labels(tmp_path):
    logits = np.array([[1.5, -2.0], [0.25, 3.0], [-1.0, -1.0]])
    tracking.write_predictions(tmp_path / "test.csv", logits, KNOWN[:3], ["a", "b"])
    np.testing.assert_allclose(tracking.read_predictions(tmp_path / "test.csv", ["a", "b"], len(logits)), logits)
    rows = list(csv.DictReader((tmp_path / "test.csv").open()))
    assert [(row["actual"], row["predicted"]) for row in rows] == [("a", "a"), ("a|b", "a|b"), ("", "")]


@pytest.mark.slow
@pytest.mark.parametrize("weight", [None, "balanced"])
def test_a_teacher_is_finetuned_on_multi_label_texts(bert, mixed, tmp_path, weight):
    from potstill.scoring import inference, pretrained
    from potstill.teacher import finetune
    from tests.settings import teacher_settings as teaching

    params, scratch = teaching(class_weight=weight, epochs=6), tmp_path / "scratch"
    network, tokenizer = pretrained.load(str(bert), mixed.labels, multi_label=True)
    epochs = []
    finetune.finetune(network, tokenizer, mixed.train, mixed.validation, params, 3e-3, scratch, epochs.append)
    assert network.config.problem_type == "multi_label_classification"
    assert epochs[-1]["validation_loss"] < epochs[0]["validation_loss"]
    texts, known = mixed.validation["text"].tolist(), mixed.targets("validation")
    found = inference.score(network, tokenizer, texts, max_length=32, batch_size=32).logits
    assert all(column[has].mean() > column[~has].mean() for column, has in zip(found.T, known.T, strict=True))


# The runtime


# The command line


# Ablation and report


def test_a_small_share_of_the_labels_in_an_ablation_has_every_label(mixed):
    baseline = baseline_settings(epochs=1)
    asked = AblateParams(
        sources=True, vocabulary=False, architectures=[], transfer_shares=[], label_shares=[0.02], steps=60,
        batch_size=32, learning_rate=0.05, n_jobs=1,
    )  # fmt: skip
    transfer = make_transfer(mixed.train["text"].tolist(), ["train"] * 300, mixed_logits(mixed))
    for trial in plan(asked, baseline, ["train"]):
        row = ablation.run(trial, mixed, transfer, asked, baseline)
        assert row["texts"] == (300 if trial.model == "soft" else 6)
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]


def test_the_advice_is_for_multi_label(mixed, monkeypatch):
    monkeypatch.setattr("potstill.advise.measure.MIN_STEPS", 4)

    class Teacher:
        def fit(self, train, validation):
            pass

        def logits(self, texts):
            return np.array([[8.0 * any(w in t for w in words) - 4 for words in FEELINGS.values()] for t in texts])

    measured = measure(mixed, 100, quick(BaselineParams), quick(StudentParams), Teacher())
    of = {(model["name"], model["training"]): model for model in measured["models"]}
    assert of["teacher", "hard"]["accuracy"] == 1
    assert all("micro_f1" in model and "matthews" not in model for model in measured["models"])
    assert "agreement" in of["bigru", "distilled"]
    said = decide(measured | {"teacher": "oracle", "non_inferiority_margin": 0.01})
    assert "micro-F1 × 100" in markdown(measured | {"teacher": "oracle"}, said)


# Everything together


@pytest.mark.slow
@pytest.mark.parametrize("labels", [2, 40])
def test_every_stage_takes_few_and_many_labels(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    rng, names = random.Random(0), [f"label {i}" for i in range(labels)]
    parts = []
    for split, number in (("train", 12 * labels + 300), ("validation", 4 * labels + 100), ("test", 4 * labels + 100)):
        ids = [rng.sample(range(labels), rng.choice([0, 1, 1, min(2, labels)])) for _ in range(number)]
        texts = [f"so {' '.join(f'w{i}' for i in held)} today {split} {row}" for row, held in enumerate(ids)]
        part = pd.DataFrame({"text": texts, "label": ["|".join(names[i] for i in held) for held in ids]})
        part.to_csv(f"mine/{split}.csv", index=False)
        parts.append(part)
    texts = pd.concat(parts, ignore_index=True)
    sure = [[0.95 if name in held.split("|") else 0.02 for name in names] for held in texts["label"]]
    pd.DataFrame(sure, columns=names).assign(text=texts["text"]).to_csv("answers.csv", index=False)

    network = NETWORK | {"architecture": "cnn", "hidden": 2 * labels, "batch_size": 16}
    run_stages(monkeypatch, network, multi_label=True)

    found = json.loads((tmp_path / "metrics/evaluate/metrics.json").read_text())["models"]
    assert set(found) == {"tfidf", "hard", "student", "mine"}
    assert found["mine"]["accuracy"] == 1
    assert found["student"]["accuracy"] > 0.8
    assert found["student"]["macro_f1"] > 0.9
    made = Student.load("models/export/student.pot")
    cases = pd.read_csv("metrics/evaluate/confusion/student-labels.csv", index_col="label")
    known = pd.read_csv("mine/test.csv", keep_default_na=False)["label"].str.split("|")
    assert [cases.loc[name, ["TP", "FN"]].sum() for name in made.labels] == [
        sum(name in held for held in known) for name in made.labels
    ]
    assert made.predict("so w0 w1 today")[0] == ("label 0", "label 1")
