import numpy as np
import pandas as pd

from potstill.scoring.table import logits as table_logits
from potstill.teacher import table


def test_answers_whatever_the_case_and_white_space(tmp_path):
    columns = {"b": [0.75, 1.0], "text": ["One  text", "other"], "a": [0.25, 0.0]}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    known = table.read(tmp_path / "t.csv", ["a", "b"])
    scored = table_logits(known, pd.Series(["other", "unheard", "one text "]))
    assert np.isnan(scored[1]).all()
    np.testing.assert_allclose(np.exp(scored[[0, 2]]), [[1e-6, 1.0], [0.25, 0.75]], rtol=1e-5)
