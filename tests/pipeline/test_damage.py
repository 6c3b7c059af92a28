"""Files of another stage that are damaged or of another shape end in one line that names the file."""

import importlib.util
import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.ablate.ablation import KEYS, is_row
from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.evaluate.predictions import Predictions
from potstill.label.logits import label
from potstill.label.params import LabelParams
from potstill.scoring.ensemble import merge
from tests.damage import AGAIN, BYTES, spoil
from tests.project import ROOT
from tests.tasks import make_transfer


def stored(data, folder):
    """The outputs of the stages, by the names of `READ`."""
    (folder / "pool").mkdir()
    data.save(folder / "prepared")
    texts = data.train["text"].tolist()
    logits = np.zeros((len(texts), len(data.labels)))
    shutil.copytree(make_transfer(texts, ["train"] * len(texts), logits).texts.path.parent, folder / "transfer")
    shutil.copytree(folder / "transfer", folder / "made")
    models = {"tfidf": np.ones((60, 3)), "student": np.ones((60, 3))}
    Predictions(data.test["text"].tolist(), data.targets("test"), models).save(folder / "evaluate/test.parquet")
    return folder


def merged(folder):
    """Average the logits of teachers."""
    return merge(folder / "made/pool.parquet", [folder / "made/logits.parquet"], folder / "pool", multi_label=False)


def transferred(folder):
    """Read a whole transfer set."""
    return list(transfer.read(folder / "transfer", ["c0", "c1", "c2"]).texts)


# Of each file, what reads it, and the columns that are spoilt; "" for what is wrong with all of them.
READ = {
    "prepared/train.parquet": (lambda folder: Dataset.load(folder / "prepared"), ["", "text", "label"]),
    "prepared/unlabelled.parquet": (lambda folder: list(Dataset.texts(folder / "prepared", "unlabelled")), ["text"]),
    "made/pool.parquet": (merged, ["", "text"]),
    "made/logits.parquet": (merged, ["c0"]),
    "transfer/pool.parquet": (transferred, ["", "text"]),
    "transfer/logits.parquet": (transferred, ["", "c0"]),
    "evaluate/test.parquet": (lambda folder: Predictions.load(folder / "evaluate/test.parquet"), ["", "text", "label"]),
}
# Faults of a table, and the message.
TABLES = [
    (lambda table: table[:0], "it has no rows"),
    (lambda table: table.drop_columns(table.column_names[-1:]), "column . is nothing instead of '"),
    (lambda table: table.select(table.column_names[::-1]), "column 1 is '.*' instead of '"),
    (lambda table: table.rename_columns([*table.column_names[:-1], "x 0"]), "column . is 'x 0' instead of '"),
    (lambda table: table.append_column("x 0", table.columns[0]), "column .* nothing"),
]
# The value of all rows of a column, and the message.
VALUES = {
    "text": [
        (pa.nulls(1, pa.string()), "the column 'text' has a missing value"),
        (BYTES, ".*Invalid UTF8"),
        (pa.array([1]), "the column 'text' is of type int64 instead of large_string"),
        (pa.array([{"a": 1}]), "the column 'text' is of type struct.* instead of large_string"),
    ],
    "label": [
        (pa.nulls(1, pa.int64()), "the column 'label' has a missing value"),
        (pa.array([99]), r"a label that dataset\.json does not name"),
        (pa.array([-2]), r"a label that dataset\.json does not name"),
        (pa.array([1.0]), "the column 'label' is of type double instead of int64"),
        (pa.array([True]), "the column 'label' is of type bool instead of int64"),
    ],
    "c0": [
        (pa.nulls(1, pa.float32()), "the column 'c0' has a missing value"),
        (pa.array(["x"]), "the column 'c0' is of type string instead of float"),
    ],
}


def put(value, name):
    """Return a function that sets all rows of a column to one value."""
    return lambda table: table.set_column(table.column_names.index(name), name, pa.concat_arrays([value] * len(table)))


FAULTS = {"": TABLES} | {name: [(put(value, name), says) for value, says in VALUES[name]] for name in VALUES}


def test_a_damaged_pool_and_damaged_logits_are_named(teacher_folder, tmp_path):
    pool, answers, target = tmp_path / "pool.parquet", tmp_path / "logits.parquet", tmp_path / "out"
    target.mkdir()
    tables = {
        pool: pd.DataFrame({"text": ["x", "y"] * 50, "source": "train"}),
        answers: pd.DataFrame({"a": np.ones(100, np.float32), "b": np.zeros(100, np.float32)}),
    }
    for damaged in tables:
        for path, table in tables.items():
            table.to_parquet(path, index=False)
        spoil(damaged)
        with pytest.raises(PotstillError, match=f"{damaged}: it cannot be read .*{AGAIN}"):
            merge(pool, [answers], target, multi_label=False)
    tables[answers].head(99).to_parquet(answers, index=False)
    tables[pool].to_parquet(pool, index=False)
    with pytest.raises(PotstillError, match=f"{answers}: it cannot be read .*not as many rows as the pool has"):
        merge(pool, [answers], target, multi_label=False)

    spoil(pool)
    settings = LabelParams(
        teachers=["t"], batch_size=8, precision="fp32", engine="local", workers=1, ray_address=None, storage=None
    )
    with pytest.raises(PotstillError, match=f"{pool}: it cannot be read .*{AGAIN}"):
        label(teacher_folder, pool, tmp_path / "labels", settings, tmp_path / "scratch")
    pq.write_table(pa.table({"text": BYTES}), pool)
    with pytest.raises(PotstillError, match=f"{pool}: it cannot be read .*Invalid UTF8.*{AGAIN}"):
        label(teacher_folder, pool, tmp_path / "labels", settings, tmp_path / "scratch")


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [(name, *fault) for name, (_, columns) in READ.items() for column in columns for fault in FAULTS[column]],
)
def test_other_columns_or_values_are_named(data, tmp_path, name, change, says):
    """Pages have no checksums: after a bit flip, Arrow may still read the file."""
    path, (read, _) = stored(data, tmp_path) / name, READ[name]
    read(tmp_path)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(PotstillError, match=rf"^{path}: it cannot be read \({says}.*{AGAIN}"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"accuracy": 0.5}', "\x00", None])
def test_a_damaged_trial_of_the_ablation_is_repeated(monkeypatch, tmp_path, capsys, content):
    spec = importlib.util.spec_from_file_location("ablate_stage", ROOT / "src/ablate.py")
    stage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage)
    made = dict.fromkeys(KEYS, 1.0)
    monkeypatch.setattr(stage, "read", tuple)
    monkeypatch.setattr(stage, "run", lambda *_: made)
    trial = stage.Trial("pool", "1", {})
    path = tmp_path / f"{files.cache_key(trial.key)}.json"
    for repeats, again in ((1, True), (2, False)):
        if again:
            path.mkdir() if content is None else path.write_text(content)
        assert stage.result(trial, None, None, tmp_path) == made, repeats
        assert json.loads(path.read_text()) == made
        said = f"note: {path}: damaged or of another version, so its work is repeated\n"
        assert capsys.readouterr().out == (said if again else "")
    assert not is_row(made | {"accuracy": None})
