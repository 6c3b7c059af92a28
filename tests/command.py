"""Call the command `potstill`, and write and read its tables."""

import csv
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill import cli
from potstill.core.errors import PotstillError

TEXTS = ["the ab not good", "", "日本 ça", 'a,"quoted" ab', "the ☕ the", "ab " * 500]


def run(*arguments, given=b"", expected=0):
    """A process of its own, as from a shell."""
    done = subprocess.run([sys.executable, "-m", "potstill", *map(str, arguments)], input=given, capture_output=True)
    assert done.returncode == expected, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def call(capsys, *arguments):
    """The same in this process, which is faster."""
    cli.execute([str(argument) for argument in arguments])
    return capsys.readouterr().out


def refused(*arguments):
    with pytest.raises(PotstillError) as caught:
        cli.execute([str(argument) for argument in arguments])
    return str(caught.value)


def write(path, texts):
    """A table of texts in the format that the name says, with a column before the text."""
    if path.suffix == ".txt":
        path.write_text("".join(f"{text}\n" for text in texts))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"id": 1, "text": text}, ensure_ascii=False) + "\n" for text in texts))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), path)
    else:
        with path.open("w", newline="") as stream:
            rows = csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
            rows.writerows([["id", "text"], *enumerate(texts)])
    return path


def records(path):
    """The rows of a table of answers."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return list(csv.DictReader(path.open(newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))


def answers(path):
    """Labels and probabilities of a table of answers."""
    rows = records(path)
    return [row["label"] for row in rows], [float(row["probability"]) for row in rows]


ODD_LABELS = ["\x1b[31mred\x07", "a\x9b2J\u2028\x7f", "=cmd|'/c calc'!A1"]
