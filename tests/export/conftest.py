"""A student, and the same with the facts of its file."""

import dataclasses

import pytest

from potstill.export.facts import collect
from potstill.student.distil import distil
from tests.export.sources import SOURCES
from tests.settings import soft_labels, student_settings


@pytest.fixture(scope="module")
def trained(data):
    params = student_settings(
        architecture="bigru", vocab_size=60, embedding_dim=3, hidden=6, weight_bits=3, fingerprint_bits=None
    )
    return distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params), params


@pytest.fixture(scope="module")
def exported(trained, data):
    made, params = trained
    facts = collect(made.student, None, data, SOURCES, {"prepared": "0" * 64}, {"minilm": 0.95, "table": None}, params)
    return dataclasses.replace(made.student, facts=facts)
