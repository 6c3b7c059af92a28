"""Watching for drift."""

import dataclasses
import json

import pytest
from prometheus_client import CollectorRegistry

from potstill.runtime.profile import FACT, Answers, Profile
from potstill.service.drift import SAMPLE, WORKERS, Monitor
from tests.profiles import IN_DOMAIN, with_profile
from tests.serving import call, made
from tests.students import multi_label_student, student


def watched(texts, times):
    registry = CollectorRegistry()
    known = with_profile(IN_DOMAIN * 40)
    monitor = Monitor(known, Profile.of(known), registry)
    probabilities = known.predict_proba(texts)
    for _ in range(times):
        monitor.add(texts, Answers.of(probabilities, probabilities.argmax(1)))
    return registry


def evidence(registry, trait="unknown"):
    return registry.get_sample_value("potstill_drift_log10_evidence", {"trait": trait})


def test_the_evidence_grows_with_drift_alone():
    assert evidence(watched(IN_DOMAIN, 40)) < 2
    assert evidence(watched(["unheard of words"] * 5, 40)) > 2


def test_with_more_workers_more_evidence_is_required(monkeypatch):
    alone = evidence(watched(IN_DOMAIN, 0))
    assert alone == pytest.approx(-0.602, abs=0.001)  # four traits
    monkeypatch.setenv(WORKERS, "10")
    assert evidence(watched(IN_DOMAIN, 0)) == pytest.approx(alone - 1)


def test_of_a_large_request_some_texts_are_looked_at():
    registry = watched(["the ab"] * (SAMPLE + 50), 1)
    assert registry.get_sample_value("potstill_drift_texts_total", {"trait": "length", "bin": "2"}) == SAMPLE


@pytest.mark.parametrize("make", [student, multi_label_student])
def test_the_service_counts(make):
    app = made(with_profile(IN_DOMAIN * 40, make("mlp")), {})
    assert call(app, "/predict", json.dumps({"texts": ["the ab", ""]}).encode())[0] == 200
    metrics = call(app, "/metrics")[1].decode()
    assert 'potstill_drift_texts_total{bin="2",trait="length"} 1.0' in metrics
    assert 'potstill_drift_log10_evidence{trait="class"} -0.' in metrics
    assert ('trait="labels"' in metrics) == (make is multi_label_student)


def test_without_a_profile_there_is_nothing_to_watch():
    app = made(dataclasses.replace(student("mlp"), facts={FACT: None}), {})
    assert call(app, "/predict", b'{"texts": ["the"]}')[0] == 200
    assert "drift" not in call(app, "/metrics")[1].decode()
