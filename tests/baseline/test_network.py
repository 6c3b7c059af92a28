"""The student's network, trained on hard labels."""

import numpy as np
import pytest

from potstill.baseline.network import train_on_labels
from tests.settings import baseline_settings


@pytest.mark.slow
def test_a_network_learns_from_multi_label_texts(mixed):
    params = baseline_settings(architecture="bigru", weight_bits=4, fingerprint_bits=None)
    made = train_on_labels(mixed.labels, mixed.train, mixed.validation, params).student
    said = made.predict(mixed.test["text"])
    expected = [tuple(mixed.labels[id_] for id_ in ids) for ids in mixed.test["label"]]
    assert np.mean([one == other for one, other in zip(said, expected, strict=True)]) > 0.9
    assert () in said.tolist()
