"""Watching for drift while a service answers."""

import math
import os
from threading import Lock

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge

from potstill.runtime.martingale import Martingale
from potstill.runtime.model import Classifier
from potstill.runtime.profile import Answers, Profile, Texts, traits

WORKERS = "POTSTILL_WORKERS"  # how many processes serve
SAMPLE = 100  # texts of a request that are looked at, since a text takes longer to look at than to classify


class Monitor:
    """Compares the texts that are classified with the profile in the student's file; keeps none of them.

    Each trait has a `Martingale`. Their capitals are divided by the number of traits and of workers (Bonferroni), so
    that all of them together keep the false-alarm rate.
    """

    def __init__(self, student: Classifier, profile: Profile, registry: CollectorRegistry) -> None:
        rng = np.random.default_rng(0)
        self._student, self._rng, self._lock = student, rng, Lock()
        self._names = traits(student)
        self._martingales = {name: Martingale(profile.counts[name], rng) for name in self._names}
        self._share = math.log10(len(self._names) * int(os.environ.get(WORKERS, "1")))
        self._evidence = Gauge(
            "potstill_drift_log10_evidence",
            "Evidence that the texts have drifted in a trait; at a threshold of 2, the false-alarm rate is 0.01",
            ["trait"],
            registry=registry,
            multiprocess_mode="max",
        )
        self._texts = Counter("potstill_drift_texts", "Texts by trait and bin", ["trait", "bin"], registry=registry)
        for name in self._names:
            self._evidence.labels(name).set(-self._share)

    def add(self, texts: list[str], answers: Answers) -> None:
        """Look at texts and what the student answered, or at some of them drawn at random."""
        if len(texts) > SAMPLE:
            with self._lock:
                drawn = np.sort(self._rng.choice(len(texts), SAMPLE, replace=False))
            texts, answers = [texts[i] for i in drawn], answers.take(drawn)
        seen = Texts(self._student, texts, answers)
        with self._lock:
            for name, bins in seen.bins.items():
                self._martingales[name].update(bins)
                self._evidence.labels(name).set(self._martingales[name].evidence / math.log(10) - self._share)
        for name, bins in seen.bins.items():
            if name != "class":  # `potstill_texts` has them
                for i, number in enumerate(np.bincount(bins).tolist()):
                    if number:
                        self._texts.labels(name, self._names[name][i]).inc(number)
