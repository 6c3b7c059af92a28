"""The stage `prepare` in a scratch folder."""

from potstill.core.start import run

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

import prepare
from potstill.core import paths
from potstill.data.dataset import Dataset
from tests.project import ROOT


class Project:
    """A scratch project whose `prepare` section is the repository's with some keys changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "mine"
        self.data.mkdir()

    def params(self, **changes: Any) -> None:
        section = YAML(typ="safe").load(ROOT / "params.yaml")["prepare"]
        section |= {"source": "files", "path": "mine"} | changes
        with (self.root / "params.yaml").open("w") as stream:
            YAML(typ="safe").dump({"prepare": section}, stream)

    def table(self, name: str, rows: list[tuple[Any, Any]]) -> Path:
        path = self.data / name
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(path, index=False)
        return path

    def prepare(self, **changes: Any) -> tuple[Dataset, dict[str, Any]]:
        self.params(**changes)
        run(prepare.main)
        facts = json.loads((self.root / "metrics/prepare/metrics.json").read_text())["prepare"]
        return Dataset.load(paths.PREPARED), facts

    def fails(self, *words: str, **changes: Any) -> str:
        """Run the stage; expect one line on stderr that contains `words`, and no output files."""
        self.params(**changes)
        return self.run_fails(*words)

    def run_fails(self, *words: str) -> str:
        before = sorted(self.root.rglob("*"))
        with pytest.raises(SystemExit) as stop:
            run(prepare.main)
        message = stop.value.code
        assert isinstance(message, str)
        assert message.startswith("error: ")
        assert "\n" not in message
        for word in words:
            assert word in message
        assert sorted(self.root.rglob("*")) == before
        return message


def rows(count: int = 20, labels: tuple[Any, ...] = ("bad", "good"), word: str = "text") -> list[tuple[str, Any]]:
    return [(f"{word} {n}", labels[n % len(labels)]) for n in range(count)]


def three_splits(project: Project) -> None:
    project.table("train.csv", rows(20))
    project.table("val.csv", rows(4, word="validation"))
    project.table("test.csv", rows(4, word="test"))
