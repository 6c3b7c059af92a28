"""What the tests of students share."""

import pytest

from potstill.core import device


@pytest.fixture
def exact(monkeypatch):
    """Compute in float32, on whatever processor."""
    autocast = device.autocast
    monkeypatch.setattr(device, "autocast", lambda precision: autocast("fp32"))
