import pandas as pd
import pytest

from potstill.core.errors import PotstillError
from potstill.engine import shards
from tests.engine.engines import ENGINES


@pytest.mark.slow
@pytest.mark.faults
def test_a_killed_process_is_reported_and_finished_shards_are_kept(lengths, tmp_path, deadly):
    task, jobs, texts = deadly
    with pytest.raises(PotstillError, match="one of 2 processes was killed"):
        shards.process(task, jobs, ENGINES["two"])
    before = task.done()
    shards.process(task, jobs, ENGINES["two"])
    assert pd.read_parquet(tmp_path / "out")["length"].tolist() == [1, 1, 3, 1, 1]
    again = [text for text in lengths.processed() if lengths.processed().count(text) > 1]
    assert not {texts[number] for number in before} & set(again)
