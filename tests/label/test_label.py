"""The stage `label`."""

import shutil
import subprocess
import sys

import pandas as pd
import pytest

from tests.project import ROOT


@pytest.mark.parametrize("name", ["minilm2", "", "../../x", "\x1b[31m", "minilm"])
@pytest.mark.slow
def test_only_a_teacher_that_labels_can_be_labelled_with(name, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "data" / "pool").mkdir(parents=True)
    pd.DataFrame({"text": ["a"], "source": "train"}).to_parquet(tmp_path / "data" / "pool" / "pool.parquet")
    command = [sys.executable, ROOT / "src" / "label.py", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    if name == "minilm":  # which is not trained yet
        assert said == "error: models/teacher/minilm: no such file. Run `dvc repro` (or `dvc pull`) to create it."
    else:
        assert done.stderr == "error: usage: python src/label.py NAME, one of minilm\n"
        assert not (tmp_path / "metrics").exists()
