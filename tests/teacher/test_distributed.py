"""A teacher that is trained by several processes, or with gradient accumulation."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch

from potstill.core.errors import PotstillError
from potstill.scoring import pretrained
from potstill.teacher import distributed, finetune
from tests.settings import teacher_settings


def fit(source, data, params, folder):
    """What the stage does in each process, without its files."""
    epochs = []
    network, tokenizer = pretrained.load(source, data.labels, multi_label=data.multi_label)
    finetune.finetune(network, tokenizer, data.train, data.validation, params, 3e-3, folder, epochs.append)
    return network.state_dict(), epochs


def fail(where):
    if distributed.is_main_process():
        torch.distributed.init_process_group("gloo")
        torch.distributed.barrier()  # for one that never comes
    elif where == "error":
        raise PotstillError("a bad file")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def steady(bert, tmp_path):
    """The checkpoint without dropout, whose masks would depend on who draws them."""
    folder = shutil.copytree(bert, tmp_path / "steady")
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def alike(table):
    """Texts of one length, which no sampler that groups by length orders otherwise."""
    words = table["text"].str.split().str
    return table.assign(text=words[2] + " " + words[-2] + " " + words[2])


@pytest.mark.slow
@pytest.mark.parametrize(("multi_label", "class_weight"), [(False, "balanced"), (True, None)])
def test_a_batch_shared_or_in_parts_teaches_what_a_whole_one_does(
    steady, data, mixed, tmp_path, multi_label, class_weight
):
    task = mixed if multi_label else data
    task = replace(task, train=alike(task.train)[:96], validation=alike(task.validation)[:32])
    ways = {
        "whole": {},
        "parts": {"gradient_accumulation_steps": 4},
        "again": {"gradient_checkpointing": True},
        "shared": {"processes": 2},
        "both": {"processes": 2, "gradient_accumulation_steps": 2},
    }
    if multi_label:  # only its loss differs
        ways = {name: ways[name] for name in ("whole", "both")}
    learnt = {}
    for name, changes in ways.items():
        params = teacher_settings(epochs=2, class_weight=class_weight, **changes)
        learnt[name] = distributed.run(params.processes, 1, fit, steady, task, params, tmp_path / name)
    weights, epochs = learnt["whole"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    for name, (others, logged) in learnt.items():
        for key, value in weights.items():
            torch.testing.assert_close(others[key], value, atol=2e-4, rtol=1e-3, msg=f"{name}, {key}")
        assert [epoch["validation_accuracy"] for epoch in logged] == [epoch["validation_accuracy"] for epoch in epochs]
        assert [epoch["loss"] for epoch in logged] == pytest.approx([epoch["loss"] for epoch in epochs], rel=1e-3), name


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize(("how", "says"), [("error", "^a bad file$"), ("kill", "one of 2 processes was killed")])
def test_what_becomes_of_one_process_ends_all(how, says):
    with pytest.raises(PotstillError, match=says):
        distributed.run(2, 1, fail, how)
