"""Counts for Prometheus."""

import pytest

from tests.serving import ask

pytestmark = pytest.mark.slow


def test_it_counts(server):
    ask(server, "/predict", {"texts": ["the"]})
    ask(server, "/nowhere/" + "x" * 50)
    _, metrics = ask(server, "/metrics")
    assert 'potstill_requests_total{path="/predict",status="200"}' in metrics
    assert 'potstill_requests_total{path="other",status="404"}' in metrics
    assert 'potstill_texts_total{label="c' in metrics
    assert "potstill_request_seconds_bucket" in metrics
