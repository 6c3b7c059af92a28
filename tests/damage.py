"""Damage to files, and the advice of the message."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

LABELS = ["a", "b", "c"]


AGAIN = "run `make verify`, then `dvc repro`"


def rewrite(path, change):
    """Change the values of a JSON file."""
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def weigh(folder, change):
    """Change the weights of a checkpoint."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})


def spoil(path):
    """Damage the pages of a Parquet file's first column, but not its footer."""
    column = pq.read_metadata(path).row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + column.total_compressed_size] = b"\x5a" * column.total_compressed_size
    path.write_bytes(content)


BYTES = pa.array([b"\xff"]).view(pa.string())
