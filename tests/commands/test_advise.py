"""`potstill advise` on tiny data."""

import json
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from potstill.core import paths
from tests.project import ROOT


@pytest.fixture
def folder(tmp_path, data, bert):
    """A project with prepared data, a tiny teacher and quick students."""
    data.save(tmp_path / paths.PREPARED)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["teacher"]["presets"]["minilm"]["checkpoint"] = str(bert)
    params["teacher"]["presets"]["elsewhere"] = {"checkpoint": "answers.csv"}
    params["baseline"]["epochs"] = params["student"]["epochs"] = 2
    yaml.dump(params, tmp_path / "params.yaml")
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def advise(folder, *options):
    command = [sys.executable, "-m", "potstill", "advise", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_command_advises_and_leaves_nothing_else(folder):
    done = advise(folder, "--rows", "80")
    assert done.returncode == 0, done.stderr
    written = (folder / "metrics" / "advise" / "advice.md").read_text()
    assert written.strip() == done.stdout.strip()
    facts = json.loads((folder / "metrics" / "advise" / "advice.json").read_text())
    assert {m["texts"] for m in facts["measured"]["models"] if m["name"] == "teacher"} == {40, 80}
    assert [statement["topic"] for statement in facts["advice"]][1] == "Which student?"
    assert sorted(p.name for p in folder.iterdir()) == [".potstill", "data", "dvc.yaml", "metrics", "params.yaml"]
    assert not list((folder / ".potstill").iterdir())


@pytest.mark.slow
def test_an_error_is_one_line(folder):
    done = advise(folder, "--teacher", "elsewhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: --teacher: elsewhere is a table of answers, which cannot ")
    done = advise(folder, "--teacher", "nobody")
    assert done.stderr.startswith("error: --teacher: params.yaml has no preset 'nobody' (found: ")
    (folder / paths.PREPARED / "dataset.json").unlink()
    done = advise(folder)
    assert (
        done.stderr.strip()
        == "error: data/prepared/dataset.json: no such file. Run `dvc repro` (or `dvc pull`) to create it."
    )
    assert not (folder / "metrics").exists()
