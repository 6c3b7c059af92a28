import pandas as pd
import pytest

from potstill.engine import shards
from tests.engine.engines import ENGINES


@pytest.mark.slow
@pytest.mark.faults
def test_an_actor_that_dies_is_replaced(lengths, tmp_path, deadly):
    task, jobs, texts = deadly
    shards.process(task, jobs, ENGINES["ray"])
    assert pd.read_parquet(tmp_path / "out")["length"].tolist() == [1, 1, 3, 1, 1]
    assert set(lengths.processed()) == set(texts)
