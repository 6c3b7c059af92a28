"""Ablation: which models are trained, and on how many texts."""

import dataclasses

import numpy as np
import pytest
from ruamel.yaml import YAML

from potstill.ablate import ablation as ablation
from potstill.ablate.ablation import plan, run
from potstill.ablate.params import AblateParams
from potstill.baseline.params import BaselineParams
from tests.project import ROOT
from tests.settings import baseline_settings, mixed_logits
from tests.tasks import make_transfer

pytestmark = pytest.mark.slow

DOCUMENT = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
BASELINE = BaselineParams(**DOCUMENT["baseline"] | {"epochs": 2, "vocab_size": 60})


def params(**changes):
    return AblateParams(**DOCUMENT["ablate"] | {"steps": 20} | changes)


@pytest.fixture(scope="module")
def transfer(data):
    """Train and unlabelled texts, with a teacher that is confident on the former only."""
    texts = [*data.train["text"], *data.unlabelled["text"]]
    logits = np.zeros((len(texts), 3), np.float32)
    logits[np.arange(len(data.train)), data.train["label"]] = 5
    return make_transfer(texts, ["train"] * len(data.train) + ["unlabelled"] * len(data.unlabelled), logits)


def test_sources_accumulate():
    present = ["train", "replace", "drop", "generated"]
    trials = [trial for trial in plan(params(), BASELINE, present) if trial.group == "sources"]
    assert [(trial.name, trial.sources) for trial in trials] == [
        ("train", ("train",)),
        ("variants", ("train", "replace", "drop")),
        ("generated", None),  # all sources
    ]


def test_trials_can_be_turned_off():
    nothing = {"sources": False, "vocabulary": False, "architectures": [], "transfer_shares": [], "label_shares": []}
    assert plan(params(**nothing), BASELINE, ["train"]) == []
    only = plan(params(**nothing | {"transfer_shares": [0.3]}), BASELINE, ["train"])
    assert [(trial.group, trial.name, trial.share) for trial in only] == [("pool", "0.3", 0.3), ("pool", "1", 1.0)]


def test_the_baselines_own_architecture_is_trained_once():
    trials = plan(params(architectures=["mlp", "bigru", "mlp"]), BASELINE, ["train"])
    assert [trial.name for trial in trials if trial.group == "architectures"] == ["bigru", "mlp"]


def test_equal_trials_of_several_groups_have_the_same_key():
    trials = plan(params(architectures=["mlp"]), BASELINE, ["train", "unlabelled"])
    same = [trial for trial in trials if trial.key == trials[1].key]
    assert [(trial.group, trial.name) for trial in same] == [
        ("sources", "unlabelled"),
        ("architectures", "bigru"),
        ("pool", "1"),
    ]


def test_every_trial_trains_on_its_share(data, transfer):
    trials = plan(
        params(transfer_shares=[0.5], label_shares=[0.25], architectures=["mlp"]), BASELINE, ["train", "unlabelled"]
    )
    found = {(trial.group, trial.name): run(trial, data, transfer, params(), BASELINE) for trial in trials}
    texts = {key: row["texts"] for key, row in found.items()}
    assert texts == {
        ("sources", "train"): 240,
        ("sources", "unlabelled"): 340,
        ("vocabulary", "frequent"): 340,
        ("architectures", "bigru"): 340,
        ("architectures", "mlp"): 340,
        ("pool", "0.5"): 170,
        ("pool", "1"): 340,
        ("hard", "0.25"): 60,
        ("tfidf", "0.25"): 60,
    }
    for row in found.values():
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    assert found["architectures", "mlp"]["parameters"] != found["architectures", "bigru"]["parameters"]


def test_a_network_learns_from_soft_labels(data, transfer):
    trial = plan(params(), BASELINE, ["train"])[0]
    assert run(trial, data, transfer, params(steps=120, learning_rate=0.05), BASELINE)["accuracy"] > 0.9


@pytest.mark.parametrize("model", ["hard", "tfidf"])
def test_models_on_hard_labels_use_the_class_weight(data, transfer, model):
    rare = dataclasses.replace(data, train=data.train[(data.train["label"] > 0) | (data.train.index < 20)])
    trial = next(trial for trial in plan(params(label_shares=[0.5]), BASELINE, ["train"]) if trial.model == model)
    settings = params()
    plain, balanced = (
        run(trial, rare, transfer, settings, BASELINE.model_copy(update={"class_weight": weight}))["accuracy"]
        for weight in (None, "balanced")
    )
    assert plain != balanced


def test_trials_are_deterministic(data, transfer):
    trial = plan(params(), BASELINE, ["train"])[0]
    assert run(trial, data, transfer, params(), BASELINE) == run(trial, data, transfer, params(), BASELINE)


def test_a_small_share_has_a_row_of_every_class(data, transfer):
    trials = plan(params(label_shares=[0.01]), BASELINE, ["train"])
    trial = next(trial for trial in trials if trial.group == "tfidf")
    assert run(trial, data, transfer, params(), BASELINE)["texts"] == 3


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
