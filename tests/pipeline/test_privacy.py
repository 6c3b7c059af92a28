"""What is in the files that Git holds, or would add: no text of the data, and nothing that differs from run to run."""

import re
import shutil

import pandas as pd
import pytest

from potstill.core import paths
from potstill.data.dataset import Dataset
from potstill.runtime.model import FILE, Student
from tests.pipeline.stages import NETWORK, STAGES, run_stages
from tests.project import ROOT, run
from tests.tasks import FEELINGS, make_texts

pytestmark = pytest.mark.slow

ABLATE = {"architectures": [], "transfer_shares": [], "label_shares": [], "steps": 5}


def held(folder, *range_):
    """Return the contents of the files that Git holds, or would add, by name; with a range, of those that differ."""
    known = run(folder, "git", "diff", "--name-only", *range_) if range_ else run(folder, "git", "ls-files")
    names = [*known.splitlines(), *run(folder, "git", "ls-files", "--others", "--exclude-standard").splitlines()]
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def test_marked_texts_of_files_are_in_no_file_that_git_would_add(tmp_path, monkeypatch):
    # Each text has a marker of its own, and one that all of a class share, which is in the vocabulary.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/mine").mkdir(parents=True)
    tables, names = [], list(FEELINGS)
    for i, (split, number) in enumerate({"train": 120, "validation": 40, "test": 40, "unlabelled": 60}.items()):
        rows = make_texts(number, i)
        texts = zip(rows["text"], rows["label"], strict=True)
        marked = [f"{text} zqshared{label} zqmark{i}n{n}" for n, (text, label) in enumerate(texts)]
        table = pd.DataFrame({"subject": "zqsubject", "body": marked, "label": [names[id_] for id_ in rows["label"]]})
        tables.append(table)
        table.to_csv(f"data/mine/{split}.csv", index=False)
    answers = pd.concat(tables, ignore_index=True)
    wrong = answers.index % 10 == 0  # so that there are errors, and labels that look wrong
    for i, name in enumerate(names):
        sure = answers["label"].map(names.index).where(~wrong, (answers.index + 1) % 3) == i
        answers[name] = 0.96 * sure + 0.02 * ~sure
    answers.drop(columns="label").to_csv("data/answers.csv", index=False)

    preset = {"checkpoint": "data/answers.csv", "text": ["subject", "body"]}
    changes = {"teacher": {"presets": {"mine": preset}}, "ablate": ABLATE}
    changes["pool"] = {"replace": 1, "drop": 1, "generated": 1, "min_texts": 0}
    files = {"path": "data/mine", "text": ["subject", "body"], "unlabelled": ["unlabelled.csv"]}
    run_stages(monkeypatch, NETWORK | {"epochs": 3}, changes, (*STAGES, "ablate", "report"), **files)

    run(tmp_path, "git", "init", "--quiet")
    shutil.copy(ROOT / ".gitignore", ".gitignore")
    page = (tmp_path / "metrics/report/index.html").read_text()
    assert len(set(re.findall(r"zqmark\w+", page))) > 5
    assert {f"zqshared{label}" for label in range(3)} <= set(Student.load(paths.EXPORT / FILE).words)
    found = held(tmp_path)
    assert {"metrics/report/report.md", "metrics/evaluate/metrics.json", "metrics/teacher/mine/test.csv"} <= set(found)
    marker = re.compile(rb"zq(mark|shared|subject)", re.IGNORECASE)
    assert [name for name, content in found.items() if marker.search(content)] == []
    run_stages(monkeypatch, NETWORK | {"epochs": 3}, changes, ("evaluate", "report"), **files)  # which measure speeds
    assert held(tmp_path) == found

    # The files of texts to label, filled in, are read by the next run.
    before = Dataset.load(paths.PREPARED)
    for name in ("to_label", "suspects"):
        table = pd.read_csv(f"metrics/report/{name}.csv")
        assert table["label"].isna().all()
        table.assign(label=table["proposed"]).to_csv(f"data/mine/{name}.csv", index=False)
    rows = {split: table[table["split"] == split] for split in ("train", "validation", "test")}
    run_stages(monkeypatch, {}, changes, ["prepare"], **files)
    after = Dataset.load(paths.PREPARED)
    assert (len(before.unlabelled), len(after.unlabelled)) == (60, 10)
    assert len(after.train) == len(before.train) + 50
    for split, corrected in rows.items():
        labels = after.split(split).set_index("text")["label"].map(after.labels.__getitem__)
        assert (labels[corrected["text"]] == corrected["proposed"].to_numpy()).all()
    assert sum(map(len, rows.values()))


def test_no_file_that_repro_leaves_to_git_quotes_a_text(origin):
    folders = ("prepared", "pool")
    texts = [text for name in folders for path in (origin / "data" / name).glob("*.parquet") for text in read(path)]
    parts = {part for text in texts for part in fives(text)}
    found = held(origin, "HEAD~1", "HEAD")
    assert {"dvc.lock", "metrics/report/report.md"} <= set(found)
    assert [name for name, content in found.items() if parts & fives(content.decode(errors="replace"))] == []
    assert parts & fives((origin / "metrics/report/index.html").read_text())


def read(path):
    return pd.read_parquet(path, columns=["text"])["text"]


def fives(text):
    """Return all sequences of five words."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    return set(zip(*(words[i:] for i in range(5)), strict=False))
