"""A student: vocabulary, network and label names; made, saved, loaded, asked."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from torch import nn

from potstill import __version__, files
from potstill.errors import PotstillError
from potstill.params.network import NetworkParams
from potstill.student import tokenizer, training
from potstill.student.networks import ARCHITECTURES, count

FORMAT = "potstill student 1"


@dataclass(frozen=True)
class Student:
    """A small text classifier.

    Attributes:
        labels: the names of the classes.
        vocabulary: the word of every id from 1 on; id 0 is the unknown word.
        shape: what the network is built from: `architecture`, `embedding`, `hidden`, `dropout`, `max_length`.
        network: maps ids and mask to logits.
    """

    labels: list[str]
    vocabulary: list[str]
    shape: dict[str, Any]
    network: nn.Module

    @classmethod
    def create(cls, labels: list[str], vocabulary: list[str], params: NetworkParams) -> Self:
        """Make an untrained student, its first weights drawn with `params.seed`."""
        shape = params.model_dump(include={"architecture", "embedding", "hidden", "dropout", "max_length"})
        torch.manual_seed(params.seed)
        return cls(labels, vocabulary, shape, _build(shape, len(vocabulary), len(labels)))

    def encode(self, texts: list[str]) -> tokenizer.Encoded:
        """Turn texts into the ids of their words."""
        return self._lookup.encode(texts)

    @cached_property
    def _lookup(self) -> tokenizer.Lookup:
        return tokenizer.Lookup(self.vocabulary, self.shape["max_length"])

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        """Probabilities of shape (texts, classes), in the order of `labels`."""
        return softmax(training.logits(self.network, self.encode(texts)), axis=1)

    @property
    def parameters(self) -> int:
        """How many trained numbers the network holds."""
        return count(self.network)

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `student.json` into a new folder."""
        facts = {"format": FORMAT, "version": __version__, "labels": self.labels, "shape": self.shape}
        with files.whole(folder) as part:
            part.mkdir()
            save_file(self.network.state_dict(), part / "model.safetensors")
            text = json.dumps({**facts, "vocabulary": self.vocabulary}, ensure_ascii=False, indent=1)
            (part / "student.json").write_text(text + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            PotstillError: a file is missing, damaged, or not a student's.
        """
        facts = files.read_json(folder / "student.json")
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise PotstillError(f"{folder}/student.json is no {FORMAT}: run `dvc repro` to make a new one")
        try:
            network = _build(facts["shape"], len(facts["vocabulary"]), len(facts["labels"]))
            network.load_state_dict(load_file(folder / "model.safetensors"))
        except (KeyError, TypeError, OSError, RuntimeError, safetensors.SafetensorError) as error:
            raise PotstillError(f"{folder} is damaged ({str(error).splitlines()[0]}): run `dvc repro`") from None
        return cls(facts["labels"], facts["vocabulary"], facts["shape"], network.eval())


def _build(shape: dict[str, Any], words: int, classes: int) -> nn.Module:
    return ARCHITECTURES[shape["architecture"]](
        1 + words, shape["embedding"], shape["hidden"], classes, shape["dropout"]
    )
