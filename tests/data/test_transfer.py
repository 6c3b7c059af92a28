"""The transfer set, and damaged files of it."""

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.data import transfer
from tests.damage import AGAIN, spoil
from tests.tasks import make_transfer


@pytest.mark.parametrize("name", ["pool", "logits"])
def test_a_damaged_file_is_named(data, name):
    texts = data.train["text"].tolist()
    folder = make_transfer(texts, ["train"] * len(texts), np.zeros((len(texts), 3))).texts.path.parent
    spoil(folder / f"{name}.parquet")

    with pytest.raises(PotstillError, match=rf"{name}\.parquet: it cannot be read .*{AGAIN}"):
        list(transfer.read(folder, ["c0", "c1", "c2"]).texts)


def test_a_logit_that_is_not_finite_is_an_error():
    with pytest.raises(
        PotstillError, match=rf"logits\.parquet: it cannot be read \(a logit that is not finite.*{AGAIN}"
    ):
        make_transfer(["x"], ["train"], np.array([[0, np.inf]]))
