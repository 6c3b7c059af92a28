"""The model as a QR code: written, read by another program, loaded and used."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zxingcpp
from PIL import Image

from potstill.commands import qr
from potstill.core.errors import PotstillError
from potstill.runtime.model import Student
from potstill.student.distil import distil
from tests.settings import soft_labels, student_settings


@pytest.fixture(scope="module")
def student(data, tmp_path_factory) -> Path:
    params = student_settings(
        architecture="bigru", vocab_size=90, embedding_dim=3, hidden=6, weight_bits=3, fingerprint_bits=4
    )
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    folder = tmp_path_factory.mktemp("qr") / "student"
    trained.save(folder)
    return folder / "student.pot"


def call(*arguments):
    command = [sys.executable, "-m", "potstill", "qr", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_what_a_reader_reads_is_the_student(student, data, tmp_path):
    done = call(student, "-o", tmp_path / "qr.png")
    assert done.returncode == 0, done.stderr
    assert f"{student.stat().st_size:,} bytes" in done.stdout
    [code] = zxingcpp.read_barcodes(Image.open(tmp_path / "qr.png").convert("L"))
    assert code.bytes == student.read_bytes()
    (tmp_path / "read.pot").write_bytes(code.bytes)
    command = [sys.executable, "-m", "potstill", "qr", student, "-o", "-"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == (tmp_path / "qr.png").read_bytes()
    read = Student.load(tmp_path / "read.pot")
    original = Student.load(student)
    np.testing.assert_array_equal(read.predict_proba(data.test["text"]), original.predict_proba(data.test["text"]))
    assert (read.predict(data.test["text"]) == read.classes_[data.test["label"]]).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 1000, qr.CAPACITY])
def test_any_bytes_come_back_up_to_the_last_that_fits(size, tmp_path):
    data = np.random.default_rng(0).bytes(size)
    qr.encode(data).save(str(tmp_path / "qr.png"), scale=4)
    [code] = zxingcpp.read_barcodes(Image.open(tmp_path / "qr.png").convert("L"))
    assert code.bytes == data


def test_what_does_not_fit_is_refused():
    with pytest.raises(PotstillError, match=r"2,954 bytes, and a QR code holds at most 2,953"):
        qr.encode(bytes(qr.CAPACITY + 1))


def test_a_missing_student_ends_in_one_line(tmp_path):
    done = call(tmp_path / "none.pot", "-o", tmp_path / "qr.png")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "qr.png").exists()
