import json
import subprocess
import sys

import pytest

from potstill.bulk.predict import predict
from potstill.core.errors import PotstillError
from potstill.readers import formats
from tests.students import student
from tests.tables import CONTENT, refused, write_file, zstd


@pytest.mark.parametrize("source", ["/dev/fd/{}", "/dev/../dev/fd/{}", "/proc/self/fd/{}"])
def test_a_file_behind_a_descriptor_takes_the_default_as_pipes_do(tmp_path, source):
    made = student("mlp")
    given, target = write_file(tmp_path / "given", "the\na\n"), tmp_path / "made"
    with given.open() as reads, target.open("w") as writes:
        predict(made, source.format(reads.fileno()), source.format(writes.fileno()))
    assert [len(json.loads(line)) for line in target.read_text().splitlines()] == [2, 2]
    with pytest.raises(PotstillError, match="given: unknown ending"):
        predict(made, str(given), "-")
    with pytest.raises(PotstillError, match="unknown ending"):
        formats.format_of("/dev/shm/given", None, "txt")
    with pytest.raises(PotstillError, match=r"it is a folder\. Name a file in it"):
        predict(made, source.format(0), str(tmp_path))


def test_names_that_are_none_say_which(tmp_path):
    path = write_file(tmp_path / "a.txt", "the\n")
    for kind in ("csv", None):
        with pytest.raises(PotstillError, match=r"output: empty name\. Name a file, or - for standard output"):
            predict(student("mlp"), str(path), "", target_format=kind)
        with pytest.raises(PotstillError, match=r"input: empty name\. Name a file, or - for standard input"):
            predict(student("mlp"), "", "-", source_format=kind)


def test_a_file_is_no_folder(tmp_path):
    path = write_file(tmp_path / "a.csv", "text\nthe\n")
    for target in (path / "x.csv", path / "y" / "x.csv"):
        with pytest.raises(PotstillError, match=r"x\.csv: .*a\.csv is a file, not a folder\. Name a file in a folder"):
            predict(student("mlp"), str(path), str(target))
    refused(path / "x.csv", "x.csv: no such file")


def test_answers_line_up_and_rows_keep_their_numbers(tmp_path):
    made = student("mlp")
    path = write_file(tmp_path / "a.jsonl", '{"text": "the"}\n\n{"text": 3}\n{"text": ""}\n')
    done = predict(made, str(path), str(tmp_path / "b.jsonl"), skip_bad=True)
    assert (done.rows, done.skipped) == (2, 1)
    assert [json.loads(line)["row"] for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [1, 4]


def test_no_compressed_file_is_written(tmp_path):
    path = write_file(tmp_path / "a.txt", "the\n")
    with pytest.raises(PotstillError, match="potstill writes no compressed files"):
        predict(student("mlp"), str(path), str(tmp_path / "b.csv.gz"))


def test_a_link_to_the_input_is_no_output(tmp_path):
    path = write_file(tmp_path / "a.txt", "the\n")
    (tmp_path / "b.txt").symlink_to(path)
    with pytest.raises(PotstillError, match="is both input and output"):
        predict(student("mlp"), str(path), str(tmp_path / "b.txt"))


def test_only_parquet_and_zstd_require_more_than_numpy(tmp_path):
    student("mlp").save(tmp_path / "s.pot")
    for ending, content in CONTENT.items():
        write_file(tmp_path / f"a.{ending}", content)
    write_file(tmp_path / "b.csv", zstd(CONTENT["csv"].encode()))
    code = (
        "import sys\n"
        "for name in ('pandas', 'pyarrow', 'torch', 'scipy'): sys.modules[name] = None\n"
        "from potstill.cli import main\n"
        "main()"
    )

    def run(name):
        given = [sys.executable, "-c", code, "predict", tmp_path / "s.pot", tmp_path / name]
        return subprocess.run(given, capture_output=True, text=True)

    assert run("a.csv").stdout.count("\n") == 3
    stderr = run("b.csv").stderr
    assert stderr.startswith("error: pyarrow, which Zstandard files require, is not installed. Run `pip install -e")
    assert stderr.count("\n") == 1
