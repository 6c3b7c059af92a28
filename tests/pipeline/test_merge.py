"""Merging two branches that both ran the pipeline, as docs/teams.md says."""

import json
import re
import shutil

import pytest

from tests.project import ROOT, run

pytestmark = pytest.mark.slow

PROJECT = {
    "params.yaml": "train:\n  width: 1\n\n# A comment between the sections.\n\nreport:\n  digits: 1\n",
    "stage.py": (
        "import json, pathlib, sys\nimport ruamel.yaml\n"
        "params = ruamel.yaml.YAML(typ='safe').load(open('params.yaml'))\n"
        "name = sys.argv[1]\n"
        "before = pathlib.Path('model').read_text() if name == 'report' else ''\n"
        "pathlib.Path(f'metrics/{name}').mkdir(parents=True, exist_ok=True)\n"
        "if name == 'train': pathlib.Path('model').write_text(str(params[name]))\n"
        "found = {'saw': str(params[name]), 'model': before}\n"
        "pathlib.Path(f'metrics/{name}/metrics.json').write_text(json.dumps(found, indent=2))\n"
    ),
    "dvc.yaml": (
        "stages:\n"
        "  train:\n    cmd: python stage.py train\n    params: [train]\n    outs: [model]\n"
        "    metrics: [metrics/train/metrics.json: {cache: false}]\n"
        "  report:\n    cmd: python stage.py report\n    deps: [model]\n    params: [report]\n"
        "    metrics: [metrics/report/metrics.json: {cache: false}]\n"
    ),
}


def test_a_conflict_in_dvc_lock_is_solved_by_a_run(tmp_path):
    for name, content in PROJECT.items():
        (tmp_path / name).write_text(content)
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    run(tmp_path, "git", "init", "--quiet", "--initial-branch=main")
    run(tmp_path, "dvc", "init", "--quiet")

    def commit(old, new):
        path = tmp_path / "params.yaml"
        path.write_text(path.read_text().replace(old, new) if old else path.read_text())
        run(tmp_path, "dvc", "repro")
        run(tmp_path, "git", "add", "--all")
        run(tmp_path, "git", "commit", "--quiet", "-m", new)

    commit("", "first")
    run(tmp_path, "git", "checkout", "--quiet", "-b", "mine")
    commit("digits: 1", "digits: 3")
    run(tmp_path, "git", "checkout", "--quiet", "main")
    commit("width: 1", "width: 2")
    run(tmp_path, "git", "checkout", "--quiet", "mine")
    run(tmp_path, "dvc", "checkout")

    page = (ROOT / "docs/teams.md").read_text()
    merge, *rest = re.search(r"## Merge branches\n.*?```bash\n(.*?)```", page, re.DOTALL)[1].splitlines()
    assert merge == "git merge main"
    says = run(tmp_path, *merge.split(), fails=True)
    assert "CONFLICT (content): Merge conflict in dvc.lock" in says
    assert "conflict in params.yaml" not in says  # Git merged them
    assert "<<<<" not in (tmp_path / "dvc.lock").read_text()
    for command in rest:
        run(tmp_path, "bash", "-c", command)
    assert run(tmp_path, "git", "status", "--porcelain") == ""
    assert "up to date" in run(tmp_path, "dvc", "status")
    assert json.loads((tmp_path / "metrics/report/metrics.json").read_text()) == {
        "saw": "{'digits': 3}",
        "model": "{'width': 2}",
    }
