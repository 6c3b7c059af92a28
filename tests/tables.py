"""Tables in every format, and what the readers make of them."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from potstill.core.errors import PotstillError
from potstill.readers import formats, read, request


def make_pool(path, texts, rows):
    pd.DataFrame({"text": texts}).to_parquet(path, index=False, row_group_size=rows)
    return str(path)


ROWS = [(f"text {i} words", ("bad", "good")[i % 2]) for i in range(40)]


def texts(path, column="text", kind=None, **skipped):
    """Return the numbers and the texts that the reader yields, in one list each."""
    kind = formats.format_of(str(path), kind, "txt")
    batches = list(read.read(str(path), kind, [column], request.BadRows(**skipped)))
    given = [text for batch in batches for text in read_list(batch.texts)]
    return [number for batch in batches for number in batch.numbers], given


def read_list(values):
    return values if isinstance(values, list) else values.to_pylist()


def refused(path, *words, column="text", kind=None):
    with pytest.raises(PotstillError) as caught:
        texts(path, column, kind)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


def write_file(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return path


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the format of the file's ending; of txt, the lines are `text;label`."""
    name = path.name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    elif name.endswith((".jsonl", ".ndjson")):
        frame.to_json(path, orient="records", lines=True)
    elif name.endswith(".txt"):
        rows = frame[["text", "label"]].itertuples(index=False)
        write_file(path, "".join(f"{text};{label}\n" for text, label in rows))
    else:
        frame.to_csv(path, index=False, sep="\t" if name.endswith(".tsv") else ",")


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


CONTENT = {
    "txt": "one\ntwo, 2\nthree\n",
    "csv": 'id,text\n1,one\n2,"two, 2"\n3,three\n',
    "tsv": "id\ttext\n1\tone\n2\ttwo, 2\n3\tthree\n",
    "jsonl": '{"text": "one"}\n{"id": [1], "text": "two, 2"}\n{"text": "three"}\n',
}
