"""Teachers: damaged ones, and those of another shape, are refused."""

import numpy as np
import pandas as pd
import pytest

from potstill.core.errors import PotstillError
from potstill.scoring import model
from tests.damage import AGAIN, rewrite, spoil, weigh


@pytest.mark.parametrize(
    "change",
    [
        lambda w: {k: v for k, v in w.items() if k != "classifier.bias"},
        lambda w: {k: v for k, v in w.items() if "pooler" not in k},
        lambda w: w | {"bert.encoder.layer.2.output.dense.bias": w["bert.encoder.layer.1.output.dense.bias"]},
    ],
)
def test_a_teacher_lacks_nothing(teacher_folder, change):
    weigh(teacher_folder, change)
    with pytest.raises(PotstillError, match=rf"weights do not fit its config\.json .*{AGAIN}"):
        model.load(teacher_folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"null", b'{"half": '])
def test_a_teacher_of_damaged_files_is_refused(teacher_folder, name, content):
    (teacher_folder / name).write_bytes(content)
    with pytest.raises(PotstillError, match=f"{teacher_folder} cannot be loaded as a text classifier: .*{AGAIN}"):
        model.load(teacher_folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _: None, "NoneType instead of dict"),
        (lambda _: [], "list instead of dict"),
        (lambda facts: facts | {"kind": None}, "`kind`"),
        (lambda facts: facts | {"labels": None}, "`labels`: .*found: null"),
        (lambda facts: facts | {"labels": ["a", None, "c"]}, r"`labels\.1`"),
        (lambda facts: facts | {"labels": ["b", "a", "c"]}, r"`labels` are not those of config\.json"),
        (lambda facts: facts | {"labels": ["a", "b"]}, r"`labels` are not those of config\.json"),
        (lambda facts: facts | {"max_length": None}, "`max_length`"),
        (lambda facts: facts | {"max_length": "128"}, "`max_length`"),
        (lambda facts: facts | {"multi_label": None}, "`multi_label`"),
        (lambda facts: facts | {"multi_label": True}, "`multi_label`"),
        (lambda facts: {key: value for key, value in facts.items() if key != "labels"}, "`labels`: Field required"),
    ],
)
def test_facts_of_another_shape_are_an_error(teacher_folder, change, says):
    rewrite(teacher_folder / "teacher.json", change)
    with pytest.raises(PotstillError, match=f"teacher.json.*{says}.*[Rr]{AGAIN[1:]}"):
        model.load(teacher_folder)


def test_a_table_of_other_labels_is_refused(tmp_path):
    pd.DataFrame({"text": ["x"], "b": [0.2], "a": [0.8]}).to_parquet(tmp_path / "table.parquet")
    model.describe(tmp_path, "table", ["b", "a"])
    np.testing.assert_allclose(np.exp(model.load(tmp_path).logits(["x"])), [[0.2, 0.8]], rtol=1e-5)
    model.describe(tmp_path, "table", ["a", "b"])
    with pytest.raises(PotstillError, match=r"teacher\.json: `labels` are not those of table\.parquet"):
        model.load(tmp_path)
    spoil(tmp_path / "table.parquet")
    with pytest.raises(PotstillError, match=rf"table\.parquet: it cannot be read .*{AGAIN}"):
        model.load(tmp_path)
