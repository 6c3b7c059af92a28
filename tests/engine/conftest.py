import os

import pytest

from potstill.engine import shards
from tests.engine.lengths import Lengths
from tests.project import ROOT
from tests.tables import make_pool


@pytest.fixture(autouse=True)
def _actors_find_this_module(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")


@pytest.fixture
def lengths(tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()
    return Lengths(seen)


@pytest.fixture
def deadly(lengths, tmp_path):
    """A task of five jobs, one of which kills the first process that does it; the jobs, and their texts."""
    texts = ["a", "b", "die", "d", "e"]
    jobs = shards.plan([make_pool(tmp_path / "pool.parquet", texts, 1)], ["text"])
    return shards.Task(lengths, ["text"], str(tmp_path / "out"), "mine"), jobs, texts
