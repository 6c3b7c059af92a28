import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.readers import formats
from tests.tables import CONTENT, texts, write_file, zstd


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.jsonl", "a.ndjson", "A.CSV", "b.TXT"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst", ".GZ"])
def test_each_format_is_read_compressed_or_not(tmp_path, name, packed):
    kind = formats.parse(name).format
    content = CONTENT[kind].encode()
    if packed:
        content = zstd(content) if packed == ".zst" else gzip.compress(content)
    assert texts(write_file(tmp_path / (name + packed), content))[1] == ["one", "two, 2", "three"]


@pytest.mark.parametrize("name", ["a.parquet", "a.pq", "A.PARQUET"])
def test_parquet_by_each_of_its_names(tmp_path, name):
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / name)
    assert texts(tmp_path / name) == ([1, 2], ["one", "two"])
