"""Multi-label classification in every layer, from reading tables to serving."""

import csv
import dataclasses
import json
import random

import datasets
import numpy as np
import onnxruntime
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import ModelCard
from scipy.special import expit
from selenium.webdriver.common.by import By
from torch.nn import functional

from potstill import cli
from potstill.ablate import ablation as ablation
from potstill.ablate.ablation import plan
from potstill.ablate.params import AblateParams
from potstill.advise.decide import decide
from potstill.advise.measure import measure
from potstill.advise.report import markdown
from potstill.baseline.network import train_on_labels
from potstill.baseline.params import BaselineParams
from potstill.core import tracking
from potstill.core.class_weights import class_weights, majority
from potstill.core.errors import PotstillError
from potstill.core.labels import accuracy, choose, label_names, right
from potstill.data.dataset import Dataset
from potstill.evaluate import table
from potstill.evaluate.compare import Model, compare
from potstill.evaluate.metrics import scores
from potstill.evaluate.metrics.thresholds import fit
from potstill.evaluate.plots.figure import confusion_figure
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.verdict import judge
from potstill.export import calibrate, to_onnx
from potstill.export.card import card
from potstill.export.facts import collect
from potstill.prepare.split import count_labels, keep, split_off
from potstill.report import facts as report
from potstill.report.params import ReportParams
from potstill.runtime.explain import explain, informative_words
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES
from potstill.scoring import model as teachers
from potstill.scoring.ensemble import average
from potstill.scoring.tfidf import Tfidf
from potstill.student import training, vocabulary
from potstill.student.distil import distil
from potstill.student.params import StudentParams
from potstill.teacher import table as answers
from tests.advise.test_advise import quick
from tests.commands.test_cli import records
from tests.conftest import FEELINGS, make_mixed_texts, make_transfer
from tests.pipeline.test_classes import NETWORK, run_stages
from tests.prepare.test_prepare import Project, project  # noqa: F401
from tests.report.test_report import make as reported
from tests.report.test_report import page as reported_page
from tests.runtime.test_fast import ENTRIES, ODD, portable, student
from tests.runtime.test_forged import written
from tests.service.test_app import ask, serving
from tests.student.test_distil import baseline_settings, settings
from tests.test_readme import node  # noqa: F401
from tests.web.test_page import chromium, shares  # noqa: F401
from tests.web.test_student_js import javascript  # noqa: F401

NAMES = list(FEELINGS)


def random_student(architecture="bigru", strings=True, thresholds=(0.25, 0.5, 0.75), **changes):
    """A student of random weights whose texts have any number of three labels."""
    return dataclasses.replace(student(architecture, strings, **changes), thresholds=list(thresholds))


def soft_labels(data: Dataset) -> np.ndarray:
    """Logits of a hypothetical teacher, correct and confident."""
    return (8 * data.targets("train") - 4).astype(np.float32)


# Tables


def mixed_rows(number: int, seed: int = 0) -> pd.DataFrame:
    rows = make_mixed_texts(number, seed)
    return rows.assign(label=[[NAMES[id_] for id_ in ids] for ids in rows["label"]])


def test_every_form_gives_the_same_labels(project: Project) -> None:  # noqa: F811
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


def test_labels_are_the_ones_that_were_given(project: Project) -> None:  # noqa: F811
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


def test_lists_of_ids_are_read_with_label_names(project: Project) -> None:  # noqa: F811
    rows = make_mixed_texts(60, 0)
    rows.to_parquet(project.data / "train.parquet")
    data, _ = project.prepare(multi_label=True, label_names=["x", "y", "z"])
    assert data.labels == ["x", "y", "z"]
    known = dict(zip(rows["text"], rows["label"], strict=True))
    for text, ids in data.train.itertuples(index=False):
        assert list(ids) == known[text]


def test_a_hubs_lists_of_class_labels_keep_their_names(project: Project) -> None:  # noqa: F811
    rows = make_mixed_texts(60, 0)
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.Sequence(datasets.ClassLabel(names=NAMES))}
    )
    made = datasets.Dataset.from_dict({name: rows[name].tolist() for name in ("text", "label")}, features)
    datasets.DatasetDict({"train": made}).save_to_disk(project.data / "hub")
    hub = {"dataset": str(project.data / "hub"), "config": None, "revision": None}
    data, _ = project.prepare(source="hub", hub=hub, multi_label=True)
    assert data.labels == NAMES
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
def test_bad_labels_end_in_one_line(project: Project, labels, says) -> None:  # noqa: F811
    rows = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
    rows.to_json(project.data / "train.jsonl", orient="records", lines=True)
    project.fails("mine/train.jsonl", says, multi_label=True)


@pytest.mark.parametrize("vectors", [[[0, 1, 0], [1, 0, 0]], [[0, 1], [0, 0]], [[True, False]], [[0.0, 1.0, 1.0]]])
@pytest.mark.parametrize("source", ["files", "hub"])
def test_vectors_of_0_and_1_are_no_ids(project: Project, vectors, source) -> None:  # noqa: F811
    columns = {"text": [f"text {i}" for i in range(40)], "label": [vectors[i % len(vectors)] for i in range(40)]}
    pd.DataFrame(columns).to_parquet(project.data / "train.parquet")
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns)}).save_to_disk(project.root / "saved")
    hub = {"dataset": "saved", "config": None, "revision": None}
    shown = ", ".join(map(str, vectors[0]))
    says = f": the labels are multi-hot vectors of 0 and 1 (found: {shown}). List the names or ids"
    project.fails(says, multi_label=True, source=source, hub=hub)


def test_vectors_of_0_and_1_are_no_ids_that_have_names(project: Project) -> None:  # noqa: F811
    kind = datasets.Sequence(datasets.ClassLabel(names=["no", "yes"]))
    features = datasets.Features({"text": datasets.Value("string"), "label": kind})
    columns = {"text": [f"text {i}" for i in range(40)], "label": [[0, 1, 0], [1, 0, 0]] * 20}
    made = datasets.Dataset.from_dict(columns, features)
    datasets.DatasetDict({"train": made}).save_to_disk(project.root / "saved")
    hub = {"dataset": "saved", "config": None, "revision": None}
    project.fails("saved (train): the labels are multi-hot vectors", multi_label=True, source="hub", hub=hub)


def test_lists_of_the_ids_0_and_1_are_read(project: Project) -> None:  # noqa: F811
    rows = pd.DataFrame(
        {"text": [f"text {i}" for i in range(40)], "label": [[[0], [1], [0, 1], []][i % 4] for i in range(40)]}
    )
    rows.to_parquet(project.data / "train.parquet")
    rows[2:3].to_parquet(project.data / "test.parquet")
    assert project.prepare(multi_label=True)[0].test["label"][0].tolist() == [0, 1]


def test_a_label_that_train_lacks_is_named(project: Project) -> None:  # noqa: F811
    mixed_rows(60).to_json(project.data / "train.jsonl", orient="records", lines=True)
    pd.DataFrame({"text": ["x"], "label": ["joy|envy"]}).to_csv(project.data / "test.csv", index=False)
    project.fails("mine/test.csv: row 1 has the label 'envy', which no row of mine/train.jsonl has", multi_label=True)


def test_lists_of_labels_are_refused_where_a_text_has_one(project: Project) -> None:  # noqa: F811
    mixed_rows(60).to_json(project.data / "train.jsonl", orient="records", lines=True)
    project.fails("mine/train.jsonl: line ", "`prepare.multi_label`")


def test_the_demo_corpus_has_one_label_per_text(project: Project) -> None:  # noqa: F811
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


def test_thresholds_have_the_best_f1():
    rng = np.random.default_rng(0)
    found = rng.random((500, 3)).astype(np.float32)
    known = rng.random((500, 3)) < found * [0.3, 0.8, 1]
    thresholds = fit(found, known)
    assert thresholds == [float(np.float16(threshold)) for threshold in thresholds]
    for label, threshold in enumerate(thresholds):

        def f1(limit, label=label):
            chosen = found[:, label] >= limit
            return 2 * (chosen & known[:, label]).sum() / (chosen.sum() + known[:, label].sum())

        assert f1(threshold) >= max(f1(limit) for limit in np.linspace(0, 1, 200)) - 0.005


def test_a_threshold_parts_two_probabilities_and_equal_ones_stay_together():
    found = np.array([[0.8], [0.6], [0.6], [0.2]])
    assert fit(found, np.array([[1], [1], [0], [0]], bool)) == [pytest.approx(0.4, abs=1e-3)]
    assert fit(found, np.zeros((4, 1), bool)) == [0.5]
    assert fit(np.append(found, [[np.nan]], 0), np.array([[1], [0], [0], [0], [1]], bool)) == [
        pytest.approx(0.7, abs=1e-3)
    ]
    assert fit(np.full((2, 1), 1e-12), np.ones((2, 1), bool))[0] > 0


KNOWN = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)
FOUND = np.array([[0.9, 0.1], [0.9, 0.4], [0.2, 0.2], [0.6, 0.7]])


def test_scores_have_the_values_worked_out_by_hand():
    result = scores.scores(KNOWN, FOUND, ~KNOWN, [0.5, 0.5])
    assert result["accuracy"] == 0.5  # the second text lacks a label, the fourth has one too many
    # The first label: 2 right, 1 wrong, 0 missed; the second: 1, 0, 1.
    assert result["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2, abs=1e-6)
    assert result["micro_f1"] == pytest.approx(6 / 8, abs=1e-6)
    likelihoods = [0.9, 0.9, 0.9, 0.4, 0.8, 0.8, 0.4, 0.7]
    assert result["log_loss"] == pytest.approx(-np.log(likelihoods).mean(), abs=1e-6)
    # Of probabilities 0.9, 0.9, 0.1, 0.4, 0.2, 0.2, 0.6, 0.7 those that belong to a label, bin by bin.
    gaps = [2 * 0.1, 0.1, 0.6, 2 * 0.2, 0.6, 0.3]
    assert result["calibration_error"] == pytest.approx(sum(gaps) / 8, abs=1e-6)
    assert result["agreement"] == 0
    assert "matthews" not in result
    cases = scores.label_confusion(KNOWN, FOUND >= 0.5, ["a", "b"])
    assert cases.loc["a"].to_dict() == {"TP": 2, "FN": 0, "FP": 1, "TN": 1}
    assert cases.loc["b"].to_dict() == {"TP": 1, "FN": 1, "FP": 0, "TN": 2}


def test_models_are_compared_by_texts_that_are_right_in_all_labels():
    models = [
        Model("tfidf", "baseline", np.full((4, 2), 0.1), np.full((4, 2), 0.1), 1, 1, [0.5, 0.5]),
        Model("teacher", "teacher", KNOWN * 0.8 + 0.1, KNOWN * 0.8 + 0.1, 9, 9, [0.5, 0.5]),
        Model("student", "student", FOUND, FOUND, 3, 3, [0.65, 0.3]),
    ]
    rows, reference = compare(models, KNOWN, "teacher", None)
    assert reference == "teacher"
    assert [row["accuracy"] for row in rows] == [0.25, 1.0, 1.0]
    assert rows[2]["agreement"] == 1
    assert rows[0]["versus_teacher"]["only_second"] == 3
    told = table.markdown(rows)
    assert "| exact match, % (95% CI) | macro-F1, % | micro-F1, % |" in told
    assert "Matthews" not in told
    same = scores.mcnemar([True] * 4, [True] * 4)
    said = judge(rows[2], same, same, 0.01, majority(KNOWN)).details
    assert "the student has an exact match of 100.0%" in said
    assert "Always predicting" not in said
    assert (
        "predicting the most frequent set of labels has an accuracy of 25.0%"
        in judge(rows[0], same, same, 0.01, 0.25).details
    )


def test_the_confusion_figure_has_a_row_per_label(tmp_path):
    cases = scores.label_confusion(KNOWN, FOUND >= 0.5, ["a", "a label with a long name"])
    confusion_figure(cases, list(cases.index), tmp_path / "a.png", list(cases))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_temperature_that_made_the_labels_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(8000, 4)) * 3
    known = rng.random(logits.shape) < expit(logits / 2)
    assert calibrate.temperature(logits, known) == pytest.approx(2, rel=0.05)


def test_answers_of_a_split_are_kept_with_their_labels(mixed, tmp_path):
    known = mixed.targets("test")
    given = {"student": known * 0.5 + 0.2, "minilm": np.full((80, 3), np.nan)}
    made = Predictions(mixed.test["text"].tolist(), known, given, {"student": [0.3, 0.6, 0.8], "minilm": [0.5] * 3})
    made.save(tmp_path / "a.parquet")
    found = Predictions.load(tmp_path / "a.parquet")
    np.testing.assert_array_equal(found.labels, known)
    assert found.thresholds == made.thresholds
    np.testing.assert_array_equal(found.correct("student"), ~known[:, 2])
    np.testing.assert_allclose(found.confidence("student")[~known.any(1)], 0.8**3, rtol=1e-6)


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
    trained = distil(mixed.labels, mixed.train["text"].tolist(), soft_labels(mixed), mixed.validation, params)
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
    from tests.teacher.test_finetune import settings as teaching

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


@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
@pytest.mark.parametrize("rows", [None, [2, 3] + [1] * (len(ENTRIES) - 2)], ids=["own", "shared"])
def test_a_file_holds_the_thresholds(strings, rows, tmp_path):
    made = random_student("cnn", strings, rows=rows, thresholds=(0.125, 1.0, 2**-20))
    made.save(tmp_path / "a.pot")
    again = Student.load(tmp_path / "a.pot")
    assert again.thresholds == made.thresholds
    assert again.to_bytes() == made.to_bytes()
    np.testing.assert_array_equal(again.predict_proba(ODD), made.predict_proba(ODD))
    one = dataclasses.replace(made, thresholds=None)
    assert len(made.to_bytes()) - len(one.to_bytes()) in (5, 6, 7)  # three times two bytes, and a shared last one


def test_a_file_with_a_threshold_out_of_range_is_refused(tmp_path):
    made = random_student(thresholds=(0.5, 0.5, 1.5))
    with pytest.raises(PotstillError, match="out of range"):
        made.save(tmp_path / "a.pot")
    (tmp_path / "a.pot").write_bytes(written(made))
    with pytest.raises(PotstillError, match="out of range"):
        Student.load(tmp_path / "a.pot")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
def test_the_kernel_predicts_as_numpy_does(architecture, strings):
    made = random_student(architecture, strings)
    assert made._kernel
    slow = portable(made)
    found = made.predict_proba(ODD)
    np.testing.assert_allclose(found, slow.predict_proba(ODD), atol=1e-5)
    np.testing.assert_allclose(found, expit(made.decision_function(ODD)), atol=1e-6)
    assert made.predict(ODD).tolist() == slow.predict(ODD).tolist()
    assert made.predict(ODD).tolist() == [
        tuple(label for label, p, limit in zip(made.labels, row, made.thresholds, strict=True) if p >= limit)
        for row in found
    ]
    assert made.predict([]).shape == (0,)
    assert made.predict("the").shape == (1,)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_onnx_names_each_label_in_its_column(architecture):
    made = random_student(architecture)
    session = onnxruntime.InferenceSession(to_onnx.build(made).SerializeToString())
    texts = [text.encode("utf-8", "replace").decode() for text in ODD]
    labels, probabilities = session.run(None, {"text": np.array(texts, object)})
    np.testing.assert_allclose(probabilities, made.predict_proba(texts), atol=1e-5)
    assert labels.shape == (len(texts), 3)
    assert [tuple(filter(None, row)) for row in labels] == made.predict(texts).tolist()


@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
def test_javascript_predicts_as_python(javascript, strings, tmp_path):  # noqa: F811
    texts = [text for text in ODD if len(text) < 1000]
    made = [random_student(architecture, strings) for architecture in ARCHITECTURES]
    files = [tmp_path / f"{one.shape.architecture}.pot" for one in made]
    for one, file in zip(made, files, strict=True):
        one.save(file)
    for one, (found, explained, labels) in zip(made, javascript(files, texts), strict=True):
        assert labels == one.labels
        np.testing.assert_allclose(found, one.predict_proba(texts), atol=1e-5)
        for told, text in zip(explained, texts, strict=True):
            label, probability, parts = explain(one, text)
            assert told["label"] == label
            assert told["probability"] == pytest.approx(probability, abs=1e-5)
            np.testing.assert_allclose(
                [word["score"] for word in told["words"]], [part.score for part in parts], atol=1e-3, rtol=1e-3
            )


def test_each_label_is_explained_by_itself():
    made = random_student("mlp", max_ngram=1)
    text = "the not good ab"
    for column, label in enumerate(made.labels):
        named_label, probability, parts = explain(made, text, label)
        assert named_label == label
        assert probability == pytest.approx(made.predict_proba(text)[0, column], abs=1e-6)
        without = made.predict_proba("unheard not good ab")[0, column]
        assert parts[0].score == pytest.approx(np.log(probability) - np.log(without), abs=1e-4)
    for label, found in informative_words(made, 3).items():
        alone = np.log(made.predict_proba([found[0][0], "unheard"])[:, made.labels.index(label)])
        assert found[0][1] == pytest.approx(alone[0] - alone[1], abs=1e-4)


# The command line


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "student.pot"
    random_student().save(path)
    return path


TEXTS = ["the ab not good", "", "日本 ça", "the ☕ the", "a", "ss ss"]


def run(capsys, *arguments):
    cli.execute([str(argument) for argument in arguments])
    return capsys.readouterr().out


def told(path):
    """Labels and probabilities per text of a table of answers."""
    rows = records(path)
    if path.suffix in (".csv", ".tsv"):
        for row in rows:
            row["labels"] = [label for label in row["labels"].split("|") if label]
            row["probabilities"] = [float(share) for share in row["probabilities"].split("|") if share]
    return [row["labels"] for row in rows], [row["probabilities"] for row in rows]


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv", "tsv"])
def test_files_get_all_labels_of_a_text_the_most_probable_first(model, capsys, tmp_path, ending):
    (tmp_path / "a.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    made = Student.load(model)
    run(capsys, "predict", model, tmp_path / "a.txt", "-o", tmp_path / f"b.{ending}")
    labels, shares = told(tmp_path / f"b.{ending}")
    assert [tuple(sorted(row)) for row in labels] == made.predict(TEXTS).tolist()
    assert any(len(row) > 1 for row in labels)
    for row, found, all_of_them in zip(labels, shares, made.predict_proba(TEXTS), strict=True):
        np.testing.assert_allclose(found, [all_of_them[made.labels.index(label)] for label in row], atol=1e-6)
        assert found == sorted(found, reverse=True)


def test_a_text_file_gets_them_joined(model, capsys, tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    out = run(capsys, "predict", model, tmp_path / "a.txt", "--output-format", "txt")
    assert [tuple(sorted(filter(None, line.split("|")))) for line in out.splitlines()] == Student.load(model).predict(
        TEXTS
    ).tolist()


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv", "txt"])
def test_a_file_without_rows_gets_none(model, capsys, tmp_path, ending):
    (tmp_path / "a.txt").write_text("")
    run(capsys, "predict", model, tmp_path / "a.txt", "-o", tmp_path / f"b.{ending}", "--skip-bad")
    if ending == "parquet":
        assert pq.read_table(tmp_path / "b.parquet").column_names == ["row", "labels", "probabilities"]
    else:
        assert (tmp_path / f"b.{ending}").read_text() == ("row,labels,probabilities\n" if ending == "csv" else "")


def test_a_threshold_and_a_number_choose_otherwise(model, capsys, tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in [*TEXTS, 1]))
    command = ["predict", model, tmp_path / "a.jsonl", "-o", tmp_path / "b.jsonl", "--skip-bad"]
    run(capsys, *command, "--threshold", "0", "--top-k", "2")
    labels, shares = told(tmp_path / "b.jsonl")
    made = Student.load(model)
    expected = np.argsort(-made.predict_proba(TEXTS), axis=1, kind="stable")[:, :2]
    assert labels == [[made.labels[id_] for id_ in row] for row in expected]
    assert json.loads((tmp_path / "b.jsonl").read_text().splitlines()[1])["row"] == 2
    run(capsys, *command, "--threshold", "0.9")
    labels, shares = told(tmp_path / "b.jsonl")
    assert [len(row) for row in labels] == (made.predict_proba(TEXTS) >= 0.9).sum(1).tolist()
    assert all(share >= 0.9 for row in shares for share in row)


def test_a_fallback_is_refused(model, tmp_path):
    with pytest.raises(PotstillError, match="--fallback requires a single-label model"):
        cli.execute(["predict", str(model), "-", "--threshold", "0.5", "--fallback", str(tmp_path)])


def test_inspect_shows_the_thresholds(model, capsys):
    known = json.loads(run(capsys, "inspect", model, "--json"))
    assert known["thresholds"] == {"c0": 0.25, "c1": 0.5, "c2": 0.75}
    assert "labels      c0 (0.250), c1 (0.500), c2 (0.750); multi-label" in run(capsys, "inspect", model)


def test_an_exported_student_has_its_scores(mixed, capsys, tmp_path):
    params = settings(architecture="mlp", fingerprint_bits=None, learning_rate=0.05)
    made = distil(mixed.labels, mixed.train["text"].tolist(), soft_labels(mixed), mixed.validation, params).student
    made = dataclasses.replace(made, facts=collect(made, None, mixed, {}, {}, {"minilm": 0.9}, params))
    tested = made.facts["metrics"]["test"]
    assert tested == scores.scores(
        mixed.targets("test"), made.predict_proba(mixed.test["text"]), thresholds=made.thresholds
    )
    found = ModelCard(card(made, {"train": 300}, 1234, 5678))
    assert "multi-label-classification" in found.data.tags
    assert {result.metric_type for result in found.data.eval_results} == {"accuracy", "f1"}
    assert "It assigns each text any of 3 classes" in found.text
    assert f"| exact match | {tested['accuracy']:.2%}" in found.text
    made.save(tmp_path / "a.pot")
    assert "of 80 right in all classes" in run(capsys, "inspect", tmp_path / "a.pot")


@pytest.mark.slow
def test_a_service_gives_the_labels_and_the_probabilities(model):
    made = Student.load(model)
    with serving(model) as (_, place):
        status, found = ask(place, "/predict", {"texts": TEXTS})
        _, few = ask(place, "/predict", {"texts": TEXTS, "top_k": 1})
        _, known = ask(place, "/model")
        _, counted = ask(place, "/metrics")
    assert status == 200
    assert [tuple(sorted(row["labels"])) for row in found["predictions"]] == made.predict(TEXTS).tolist()
    for row, best, expected in zip(found["predictions"], few["predictions"], made.predict_proba(TEXTS), strict=True):
        assert [row["probabilities"][label] for label in made.labels] == pytest.approx(expected, abs=1e-6)
        assert best["labels"] == row["labels"]
        assert list(best["probabilities"]) == [made.labels[expected.argmax()]]
    assert known["thresholds"] == dict(zip(made.labels, made.thresholds, strict=True))
    assert 'potstill_texts_total{label="c0"}' in counted


@pytest.mark.slow
def test_a_page_marks_every_label_of_a_text(chromium, model, tmp_path, capsys):  # noqa: F811
    made = Student.load(model)
    run(capsys, "page", model, "-o", tmp_path / "a.html")
    chromium.get((tmp_path / "a.html").as_uri())
    area = chromium.find_element(By.ID, "text")
    seen = set()
    for typed in ("the ab not good", "ab", "ça", "!"):
        area.clear()
        area.send_keys(typed)
        [said] = made.predict(typed)
        np.testing.assert_allclose(shares(chromium), made.predict_proba(typed)[0], atol=6e-4)
        marked = [line.text.split("\n")[0] for line in chromium.find_elements(By.CSS_SELECTOR, ".class.best")]
        assert tuple(marked) == said
        told = chromium.find_element(By.ID, "answer").text
        assert [part.split(",")[0] for part in told.split("; ")] == list(said or ["none of them"])
        seen.add(len(said))
    assert len(seen) > 1
    assert chromium.title == "Which of c0, c1, c2?"


# Ablation and report


def test_a_small_share_of_the_labels_in_an_ablation_has_every_label(mixed):
    baseline = baseline_settings(epochs=1)
    asked = AblateParams(
        sources=True, vocabulary=False, architectures=[], transfer_shares=[], label_shares=[0.02], steps=60,
        batch_size=32, learning_rate=0.05, n_jobs=1,
    )  # fmt: skip
    transfer = make_transfer(mixed.train["text"].tolist(), ["train"] * 300, soft_labels(mixed))
    for trial in plan(asked, baseline, ["train"]):
        row = ablation.run(trial, mixed, transfer, asked, baseline)
        assert row["texts"] == (300 if trial.model == "soft" else 6)
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]


def test_the_report_is_for_multi_label(mixed):
    rng = np.random.default_rng(0)
    parts, models = {}, {}
    for split in ("validation", "test"):
        known = mixed.targets(split)
        noise = {"tfidf": 0.45, "hard": 0.4, "student": 0.3, "minilm": 0.2}
        models = {name: np.clip(known * 0.6 + 0.2 + rng.normal(0, s, known.shape), 0, 1) for name, s in noise.items()}
        thresholds = {name: [0.5] * 3 for name in models}
        parts[split] = Predictions(mixed.split(split)["text"].tolist(), known, models, thresholds)
    kinds = {"student": "student", "minilm": "teacher"}
    compared = [
        Model(name, kinds.get(name, "baseline"), found, found, 100, 200, [0.5] * 3) for name, found in models.items()
    ]
    rows, _ = compare(compared, mixed.targets("test"), "minilm", None)
    place = next(i for i, ids in enumerate(mixed.train["label"]) if ids)
    wrong = mixed.train.assign(label=[[] if i == place else ids for i, ids in enumerate(mixed.train["label"])])
    inputs = dataclasses.replace(
        reported(),
        labels=mixed.labels,
        train=wrong,
        validation=parts["validation"],
        test=parts["test"],
        transfer_set=make_transfer(mixed.train["text"].tolist(), ["train"] * 300, soft_labels(mixed)),
        transfer_probabilities=expit(
            soft_labels(mixed) * rng.uniform(0.5, 1, (300, 1)) * np.where(np.arange(300) == place, 2, 1)[:, None]
        ),
        scores=reported().scores | {"models": {row["name"]: row for row in rows}},
    )
    facts = report.collect(inputs, ReportParams(samples=3, errors=5, suspects=500))
    assert facts["multi_label"]
    assert facts["cascade"] is None
    assert facts["error_analysis"]["matrix"] is None
    cases = scores.label_confusion(mixed.targets("test"), parts["test"].predicted("student"), mixed.labels)
    for row in facts["error_analysis"]["classes"]:
        found, missed, extra, _ = cases.loc[row["name"]]
        assert (row["recall"], row["precision"]) == (found / (found + missed), found / (found + extra))
    assert facts["error_analysis"]["wrong"] == (~parts["test"].correct("student")).sum()
    first = next(row for row in facts["label_errors"]["rows"] if row["split"] == "train")
    assert first["text"] == mixed.train["text"][place]
    assert first["label"] == "none"
    assert first["suggested"] in {f"with {mixed.labels[id_]}" for id_ in mixed.train["label"][place]}
    page = reported_page(inputs)
    assert "exact match" in page
    assert "micro-F1" in page
    assert "Not available for multi-label tasks." in page


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
