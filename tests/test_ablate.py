"""What brings what: which models are trained, and on how much."""

import dataclasses

import numpy as np
import pytest
from ruamel.yaml import YAML

from conftest import make_transfer
from potstill.ablate import plan, run
from potstill.params.ablate import AblateParams
from potstill.params.baseline import BaselineParams
from project import ROOT

DOCUMENT = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
BASELINE = BaselineParams(**DOCUMENT["baseline"] | {"epochs": 2, "vocab_size": 60})


def asked(**changes):
    return AblateParams(**DOCUMENT["ablate"] | {"steps": 20} | changes)


@pytest.fixture(scope="module")
def transfer(data):
    """The train texts and the unlabelled ones, with a teacher that is right of the former and unsure of the latter."""
    texts = [*data.train["text"], *data.unlabelled["text"]]
    logits = np.zeros((len(texts), 3), np.float32)
    logits[np.arange(len(data.train)), data.train["label"]] = 5
    return make_transfer(texts, ["train"] * len(data.train) + ["unlabelled"] * len(data.unlabelled), logits)


def test_each_kind_of_text_is_added_to_those_before():
    present = ["train", "replace", "drop", "generated"]
    trials = [trial for trial in plan(asked(), BASELINE, present) if trial.group == "sources"]
    assert [(trial.name, trial.sources) for trial in trials] == [
        ("train", ("train",)),
        ("variants", ("train", "replace", "drop")),
        ("generated", None),  # all there is
    ]


def test_nothing_that_is_not_asked_for_is_trained():
    nothing = {"sources": False, "vocabulary": False, "architectures": [], "transfer_shares": [], "label_shares": []}
    assert plan(asked(**nothing), BASELINE, ["train"]) == []
    only = plan(asked(**nothing | {"transfer_shares": [0.3]}), BASELINE, ["train"])
    assert [(trial.group, trial.name, trial.share) for trial in only] == [("pool", "0.3", 0.3), ("pool", "1", 1.0)]


def test_the_baselines_own_architecture_is_trained_once():
    trials = plan(asked(architectures=["mlp", "bigru", "mlp"]), BASELINE, ["train"])
    assert [trial.name for trial in trials if trial.group == "architectures"] == ["bigru", "mlp"]


def test_what_answers_two_questions_is_trained_once():
    trials = plan(asked(architectures=["mlp"]), BASELINE, ["train", "unlabelled"])
    same = [trial for trial in trials if trial.work == trials[1].work]
    assert [(trial.group, trial.name) for trial in same] == [
        ("sources", "unlabelled"),
        ("architectures", "bigru"),
        ("pool", "1"),
    ]


def test_every_trial_learns_from_its_share(data, transfer):
    trials = plan(
        asked(transfer_shares=[0.5], label_shares=[0.25], architectures=["mlp"]), BASELINE, ["train", "unlabelled"]
    )
    found = {(trial.group, trial.name): run(trial, data, transfer, asked(), BASELINE) for trial in trials}
    texts = {key: row["texts"] for key, row in found.items()}
    assert texts == {
        ("sources", "train"): 240,
        ("sources", "unlabelled"): 340,
        ("words", "frequent"): 340,
        ("architectures", "bigru"): 340,
        ("architectures", "mlp"): 340,
        ("pool", "0.5"): 170,
        ("pool", "1"): 340,
        ("labels", "hard 0.25"): 60,
        ("labels", "tfidf 0.25"): 60,
    }
    for row in found.values():
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    assert found["architectures", "mlp"]["parameters"] != found["architectures", "bigru"]["parameters"]


def test_soft_labels_are_learned_from(data, transfer):
    trial = plan(asked(), BASELINE, ["train"])[0]
    assert run(trial, data, transfer, asked(steps=120, learning_rate=0.05), BASELINE)["accuracy"] > 0.9


@pytest.mark.parametrize("model", ["hard", "tfidf"])
def test_models_on_hard_labels_use_the_class_weight(data, transfer, model):
    rare = dataclasses.replace(data, train=data.train[(data.train["label"] > 0) | (data.train.index < 20)])
    trial = next(trial for trial in plan(asked(label_shares=[0.5]), BASELINE, ["train"]) if trial.model == model)
    settings = asked()
    plain, balanced = (
        run(trial, rare, transfer, settings, BASELINE.model_copy(update={"class_weight": weight}))["accuracy"]
        for weight in (None, "balanced")
    )
    assert plain != balanced


def test_the_same_trial_gives_the_same_numbers(data, transfer):
    trial = plan(asked(), BASELINE, ["train"])[0]
    assert run(trial, data, transfer, asked(), BASELINE) == run(trial, data, transfer, asked(), BASELINE)


def test_every_class_keeps_an_example(data, transfer):
    trials = plan(asked(label_shares=[0.01]), BASELINE, ["train"])
    trial = next(trial for trial in trials if trial.name == "tfidf 0.01")
    assert run(trial, data, transfer, asked(), BASELINE)["texts"] == 3
