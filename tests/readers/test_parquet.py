"""Rows of Parquet."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.core.errors import PotstillError
from potstill.readers import parquet, read, request
from potstill.readers.tables import class_name
from tests.tables import read_list, refused, texts, write_file


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
)  # fmt: skip
def test_all_kinds_of_strings_are_read(tmp_path, kind):
    pq.write_table(pa.table({"text": pa.array(["a", None, "b", "a"]).cast(kind)}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "row 2 has no text")
    assert texts(tmp_path / "a.parquet", count=0) == ([1, 3, 4], ["a", "b", "a"])


def test_what_polars_and_pandas_write_is_read(tmp_path):
    given = ["a", "b", "a"]
    for kind in (pl.Categorical, pl.Enum(["a", "b"]), pl.String):
        pl.DataFrame({"text": pl.Series(given, dtype=kind)}).write_parquet(tmp_path / "a.parquet")
        assert texts(tmp_path / "a.parquet")[1] == given
    for dtype in ("string", "category", "str", object):
        pd.DataFrame({"text": pd.Series(given, dtype=dtype)}).to_parquet(tmp_path / "b.parquet")
        assert texts(tmp_path / "b.parquet")[1] == given


@pytest.mark.parametrize("values", [[1, 2], [1.5], [b"a"], [["a"]], [True]])
def test_a_column_of_something_else_is_refused(tmp_path, values):
    pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "the column 'text' holds", "not strings")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**31 - 1], pa.date32()), pa.array([2**62], pa.timestamp("us")), pa.array([b"a"]),
        pa.array([2**62], pa.duration("s")), pa.array([0], pa.timestamp("us", "Nowhere/Land")),
        pa.array([{"a": 1}]), pa.array([[2**62]], pa.list_(pa.timestamp("us"))),
    ],
)  # fmt: skip
def test_a_label_of_something_else_is_refused(tmp_path, values):
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["a"], "label": values}), path)
    with pytest.raises(PotstillError) as caught:
        list(read.read(path, "parquet", ["text", "label"], request.BadRows()))
    assert f"the column 'label' holds {pq.read_schema(path).field(1).type}, neither strings nor numb" in str(
        caught.value
    )


def test_the_index_of_pandas_is_a_column_like_any_other(tmp_path):
    frame = pd.DataFrame({"text": ["a", "b", "c", None]}).iloc[1:]
    frame.to_parquet(tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "row 3 has no text")
    frame.iloc[:2].set_index("text").to_parquet(tmp_path / "b.parquet")
    assert texts(tmp_path / "b.parquet") == ([1, 2], ["b", "c"])


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_damaged_pages_are_one_line_that_names_the_row_group(tmp_path, codec):
    path = tmp_path / "a.parquet"
    given = pa.table({"text": [f"text {i * 7919 % 10007}" for i in range(9000)]})
    pq.write_table(given, path, row_group_size=3000, compression=codec, use_dictionary=False, write_page_checksum=True)
    chunk = pq.read_metadata(path).row_group(1).column(0)
    at = chunk.data_page_offset + chunk.total_compressed_size // 4
    content = bytearray(path.read_bytes())
    content[at : at + 40] = bytes(40)
    path.write_bytes(content)
    refused(path, "row group 1 is damaged")
    content[-200:-8] = bytes(192)
    refused(write_file(path, bytes(content)), "is not a valid Parquet file")


def test_bytes_that_are_not_utf8_are_a_bad_row(tmp_path):
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"one", b"\xff\xfe"]).buffers())
    pq.write_table(pa.table({"text": bad}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "row 2 is not UTF-8")
    assert texts(tmp_path / "a.parquet", count=0) == ([1], ["one"])
    listed = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), bad)
    for label in (bad, bad.dictionary_encode(), listed):
        pq.write_table(pa.table({"text": ["a", "b"], "label": label}), tmp_path / "b.parquet")
        wanted = (str(tmp_path / "b.parquet"), "parquet", ["text", "label"])
        with pytest.raises(PotstillError, match="row 2 is not UTF-8 in the column 'label'"):
            list(read.read(*wanted, request.BadRows()))
        [batch] = read.read(*wanted, request.BadRows(count=0))
        assert (read_list(batch.texts), batch.numbers) == (["a"], [1])
        assert batch.others == [[["one"] if label is listed else "one"]]


def test_memory_that_is_short_is_no_damage(tmp_path, monkeypatch):
    def short(*_, **__):
        raise pa.ArrowMemoryError("malloc of size 17179869184 failed")

    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: map(short, [0]))
    refused(tmp_path / "a.parquet", "row group 0 cannot be read: out of memory")
    monkeypatch.setattr(pq, "ParquetFile", short)
    refused(tmp_path / "a.parquet", "a.parquet: out of memory")


@pytest.mark.slow
def test_one_long_value_in_many_rows_is_not_expanded_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "SIZE", 1 << 20)
    indices = pa.array(np.zeros(1000, np.int32))
    given = pa.DictionaryArray.from_arrays(indices, pa.array(["a " * 50_000]))
    short = pa.array(["a"] * 1000)
    lists = pa.array([[]] + [["a " * 50_000]] * 999)
    for text, label in (
        (given, short),
        (given.cast(pa.string()), short),
        (given.cast(pa.string()).cast(pa.string_view()), short),
        (short, given),
        (short, lists),
    ):
        pq.write_table(pa.table({"my.text": text, "label": label, "my": short}), tmp_path / "a.parquet")
        wanted = (str(tmp_path / "a.parquet"), "parquet", ["my.text", "label"])
        found = [len(batch.texts) for batch in read.read(*wanted, request.BadRows())]
        assert (sum(found), max(found)) == (1000, 10)


def test_lists_of_words_of_a_dictionary_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "SIZE", 1 << 10)
    labels = [[f"a{i % 7}", f"b{i % 5}"] for i in range(100)]
    pq.write_table(pa.table({"text": ["a"] * 100, "label": labels}), tmp_path / "a.parquet")
    found = read.read(str(tmp_path / "a.parquet"), "parquet", ["text", "label"], request.BadRows())
    assert [label for batch in found for label in batch.others[0]] == labels


def test_a_row_group_that_unpacks_to_far_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "LARGE", 1 << 20)
    given = pa.table({"text": pa.array(["a" * 10_000] * 1000)})
    pq.write_table(given, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    refused(tmp_path / "a.parquet", "row group 0 unpacks", "bytes to 10,0")


def test_single_precision_and_decimals_are_numbers_as_written(tmp_path):
    exact = [Decimal("2.70"), Decimal("1.00"), None]
    columns = [pa.array([2.7, 1, None], kind) for kind in (pa.float16(), pa.float32(), pa.float64())]
    columns.append(pa.array(exact))
    lists = [pa.array([[2.7, 1], None, []], pa.list_(kind)) for kind in (pa.float16(), pa.float32())]
    lists += [pa.array([exact[:2], None, []]), pa.array([exact[:2], None, []], pa.large_list(pa.decimal128(9, 7)))]
    labels = {str(i): column for i, column in enumerate(columns + lists)}
    pq.write_table(pa.table({"text": ["a", "b", "c"], **labels}), tmp_path / "a.parquet")
    [batch] = read.read(str(tmp_path / "a.parquet"), "parquet", ["text", *labels], request.BadRows())
    names = [[class_name(value) for value in values] for values in batch.others[: len(columns)]]
    assert names == [["2.7", "1", None]] * len(columns)
    named = [[values and [class_name(value) for value in values] for values in column] for column in batch.others[4:]]
    assert named == [[["2.7", "1"], None, []]] * len(lists)
