"""The metrics of the service, for Prometheus."""

import os
from collections.abc import Collection

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from potstill.core.errors import visible
from potstill.runtime.model import Classifier
from potstill.runtime.profile import Answers, Profile
from potstill.service.drift import Monitor

CONTENT_TYPE = CONTENT_TYPE_LATEST
# The folder in which the processes of a service keep their counts; prometheus_client reads it when it is imported.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
OTHER = "other"  # the path of requests to none that is served, which could be any number of paths


class Metrics:
    """Counts requests, their duration, and predicted labels; and watches for drift if the student has a profile."""

    def __init__(self, paths: Collection[str], student: Classifier) -> None:
        self.paths, self.labels = paths, student.labels
        self.registry = CollectorRegistry()
        self.requests = Counter("potstill_requests", "Requests answered", ["path", "status"], registry=self.registry)
        self.texts = Counter("potstill_texts", "Texts classified", ["label"], registry=self.registry)
        self.seconds = Histogram("potstill_request_seconds", "Time to answer", ["path"], registry=self.registry)
        profile = Profile.of(student)
        self.monitor = Monitor(student, profile, self.registry) if profile else None

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        path = path if path in self.paths else OTHER
        self.requests.labels(path, status).inc()
        self.seconds.labels(path).observe(seconds)

    def count_refused(self, status: int) -> None:
        """Count a request that was refused before its path was known."""
        self.requests.labels(OTHER, status).inc()

    def count_texts(self, counts: np.ndarray) -> None:
        """Count texts, given as integers (labels,)."""
        for i in np.flatnonzero(counts).tolist():
            self.texts.labels(visible(self.labels[i])).inc(int(counts[i]))

    def watch(self, texts: list[str], answers: Answers) -> None:
        """Compare texts with the student's profile, if it has one."""
        if self.monitor:
            self.monitor.add(texts, answers)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' format; with several workers, those of all."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)
