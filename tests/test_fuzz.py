"""A short run of `make fuzz`."""

import shutil

import pytest

from tools import fuzz


@pytest.mark.slow
def test_python_and_javascript_agree_on_forged_files(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "FOLDER", tmp_path)
    done, loaded, wrong = fuzz.fuzz(seed=0, seconds=3, batch=100)
    assert wrong == []
    assert 0 < loaded < done


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is missing")
def test_a_missing_check_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "FOLDER", tmp_path)
    monkeypatch.setattr(fuzz.file.fact_checks, "check", lambda *facts: None)  # while JavaScript still checks
    _, _, wrong = fuzz.fuzz(seed=0, seconds=0.1, batch=100)
    assert wrong
    assert len(list(tmp_path.glob("*.pot"))) == len(wrong)
