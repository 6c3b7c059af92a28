"""Untrained students with the torch networks of the same weights."""

import numpy as np
import torch

from potstill.runtime import tokenizer
from potstill.runtime.model import Student
from potstill.runtime.networks import Shape
from potstill.runtime.tokenizer import Fingerprints, Vocabulary
from potstill.student import networks
from tests.settings import student_settings

WORDS = ["one", "two", "three", "café", "☕", "two three"]


SHORT_TEXTS = ["", "  ", "unheard-of wörds ☕", "one " * 500, "two three one TWO", "\ud800 lone", "İ ﬁ \x00", "one"]


def vocabulary(words=WORDS, bits=20, max_ngram=1, max_length=32, salts=(7, 0, 255, 3), rows=None):
    known = sorted(tokenizer.fingerprint(tokenizer.checksum(word), salts, bits) for word in words)
    return Vocabulary(Fingerprints(known, list(salts), bits), rows, max_ngram, max_length)


def student_and_network(architecture="bigru", bits=(32, 32), labels=("a", "b", "ç"), rows=None):
    """A student with random weights, and the torch network with the same weights."""
    params = student_settings(architecture=architecture)
    found = vocabulary(max_ngram=2 if architecture == "mlp" else 1, rows=rows)
    rng = torch.Generator().manual_seed(0)
    network = networks.build(params, found.size, len(labels)).eval()
    steps = {}
    with torch.no_grad():
        for name, weight in network.named_parameters():
            width = bits[name != "embedding.weight"]
            weight.copy_(torch.randn(weight.shape, generator=rng))
            if width < 32:
                most = 2 ** (width - 1) - 1
                steps[name] = float(np.float16(3 / most))
                weight.copy_((weight / steps[name]).round().clamp(-most, most) * steps[name])
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    shape = Shape(architecture, params.embedding_dim, params.hidden)
    return Student(list(labels), found, shape, weights, bits, steps), network
