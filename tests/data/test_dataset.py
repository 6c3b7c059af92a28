import pandas as pd

from potstill.data.dataset import Dataset


def test_a_dataset_survives_being_saved(data, tmp_path):
    data.save(tmp_path / "prepared")
    loaded = Dataset.load(tmp_path / "prepared")
    pd.testing.assert_frame_equal(loaded.train, data.train)
