"""`potstill compare` when files are missing or damaged."""

import json
import subprocess

import pytest

from potstill import cli
from potstill.commands import compare
from potstill.core.errors import PotstillError
from potstill.evaluate.metrics import measures
from tests.project import ROOT, begin

STUDENT = {
    "kind": "student", "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "macro_f1": 0.9,
    "bytes": 4000, "parameters": 3000,
}  # fmt: skip


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """Return a function that commits an evaluated run without its predictions, with some files replaced."""
    begin(tmp_path, monkeypatch)

    def made(**files):
        out = {"path": "data/evaluate", "hash": "md5", "md5": "0" * 32 + ".dir", "size": 1, "nfiles": 1}
        contents = {
            "params.yaml": (ROOT / "params.yaml").read_text(),
            "dvc.yaml": json.dumps({"stages": {"evaluate": {"cmd": "true", "outs": ["data/evaluate"]}}}),
            "dvc.lock": json.dumps({"schema": "2.0", "stages": {"evaluate": {"cmd": "true", "outs": [out]}}}),
            "metrics/evaluate/metrics.json": json.dumps(
                {"models": {"student": STUDENT}, "student": {"decision": "ship"}}
            ),
        }
        for path, content in contents.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(files.get(path.rsplit("/", 1)[-1].split(".")[0], content))
        subprocess.run(["git", "add", "--all"], check=True)
        subprocess.run(["git", "commit", "--quiet", "-m", "a run"], check=True)

    return made


@pytest.mark.slow
@pytest.mark.parametrize("remote", [None, "/nonexistent", "ssh://127.0.0.1:9/nowhere", "gibberish://x"])
def test_without_predictions_the_intervals_are_compared(commit, tmp_path, capsys, remote):
    if remote:
        with (tmp_path / ".dvc/config").open("a") as config:
            config.write(f"[core]\n    remote = gone\n['remote \"gone\"']\n    url = {remote}\n")
    commit()
    cli.execute(["compare", "HEAD", "main", "workspace"])
    output = capsys.readouterr().out
    assert "Take HEAD: its student has 4,000 bytes and a test accuracy of 90.00%. It is the smallest of the 3" in output
    assert output.count("**90.00 (80.0–95.0)**") == 3
    assert (tmp_path / "metrics/compare/index.html").is_file()


def test_without_labels_agreement_is_compared(commit, tmp_path, capsys):
    metrics = {"models": {"student": STUDENT}, "student": {"decision": "ship"}}
    named = measures.with_agreement(metrics, ["test"])
    assert named["models"]["student"]["agreement_low"] == 0.8
    commit(metrics=json.dumps(named))
    cli.execute(["compare", "HEAD"])
    output = capsys.readouterr().out
    assert "its student has 4,000 bytes and a test agreement with the teacher of 90.00%" in output
    assert "| agreement with the teacher, % (95% CI) |" in output
    assert output.count("**90.00 (80.0–95.0)**") == 1
    page = (tmp_path / "metrics/compare/index.html").read_text()
    assert "test agreement with the teacher, %" in page
    assert "ccuracy" not in output + page.partition("</style>")[2]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"metrics": "{"}, r"HEAD: .* is not valid JSON"),
        ({"metrics": '{"models": {}}'}, "HEAD: .* is from another version of potstill\. Leave it out"),
        ({"params": "a: [\n"}, "HEAD:params.yaml, line 1 is not valid YAML"),
    ],
)
def test_a_commit_that_cannot_be_read_is_named(commit, files, says):
    commit(**files)
    with pytest.raises(PotstillError, match=says):
        compare.read("HEAD")
