"""Data sets in the form of the Hugging Face hub."""

import datetime
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import pytest

from potstill.core import files
from tests.prepare_project import Project, rows
from tests.project import ROOT
from tests.tasks import FEELINGS, make_mixed_texts


def save_in_hub_form(folder: Path) -> None:
    import datasets

    features = datasets.Features(
        {"sentence": datasets.Value("string"), "mood": datasets.ClassLabel(names=["sad", "unused", "glad"])}
    )

    def split(word: str, count: int) -> datasets.Dataset:
        columns = {
            "sentence": [f"{word} {n}" for n in range(count)],
            "mood": [n % 2 * 2 for n in range(count)],
        }
        return datasets.Dataset.from_dict(columns, features=features)

    names = {"train": 20, "validation": 4, "test": 4, "extra": 6}
    datasets.DatasetDict({name: split(name, count) for name, count in names.items()}).save_to_disk(folder)


def test_a_data_set_saved_in_the_hubs_form_keeps_its_class_names(project: Project) -> None:
    save_in_hub_form(project.root / "saved")
    hub = {"dataset": str(project.root / "saved"), "config": None, "revision": None}
    columns = {"source": "hub", "hub": hub, "text": "sentence", "label": "mood"}
    data, facts = project.prepare(**columns, unlabelled=["extra"])
    assert data.labels == ["sad", "glad"]
    assert facts["rows"] == {"train": 20, "validation": 4, "test": 4, "unlabelled": 6}
    assert project.prepare(**columns, label_names=["glad", "sad"])[0].train["label"].tolist()[:2] == [1, 0]


def test_rows_of_a_data_set_without_a_text_are_left_out(project: Project, capsys: Any) -> None:
    import datasets

    def split(*texts: str | None) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"text": texts, "label": ["good", "bad"] * (len(texts) // 2)})

    parts = {
        "train": split("a", "b", None, "c", " ", "d", "e", "f"),
        "validation": split("g", "h"),
        "test": split("i", "j"),
    }
    datasets.DatasetDict(parts).save_to_disk(project.root / "saved")
    hub = {"dataset": str(project.root / "saved"), "config": None, "revision": None}
    data, _ = project.prepare(source="hub", hub=hub)
    assert data.train["text"].tolist() == ["a", "b", "c", "d", "e", "f"]
    assert [data.labels[id_] for id_ in data.train["label"]] == ["good", "bad", "bad", "bad", "good", "bad"]
    assert "(train): row 3 has no text and is left out, as is 1 more\n" in capsys.readouterr().err


def test_a_hub_folder_that_dvc_does_not_track_is_hashed_with_a_note(project: Project, capsys: Any) -> None:
    columns = {"source": "hub", "text": "sentence", "label": "mood"}
    found = {}
    for name, watched in (("saved", False), ("mine", True), ("mine/saved", True), ("mine-not", False)):
        folder = project.root / name
        save_in_hub_form(folder)
        hub = {"dataset": name, "config": None, "revision": None}
        found[name] = project.prepare(hub=hub, **columns)[1].get("input_sha256")
        said = f"note: DVC does not track {name}. After changing it, run `dvc repro -f -s prepare` and `dvc repro`"
        assert (said in capsys.readouterr().out) != watched
        assert found[name] == (None if watched else files.sha256(folder))
    (project.root / "saved/train/more").write_text("changed")
    assert files.sha256(project.root / "saved") != found["saved"]


@pytest.mark.parametrize("name", ["dataset_dict.json", "train/state.json", "train/dataset_info.json"])
@pytest.mark.parametrize("content", ["", "null", "[]"])
def test_a_damaged_hub_folder(project: Project, name: str, content: str) -> None:
    save_in_hub_form(project.root / "saved")
    (project.root / "saved" / name).write_text(content)
    hub = {"dataset": "saved", "config": None, "revision": None}
    project.fails("saved: it cannot be loaded (", "Check `prepare.hub.dataset`", source="hub", hub=hub)


def test_hub_mistakes_name_the_key(project: Project) -> None:
    save_in_hub_form(project.root / "saved")
    hub = {"dataset": str(project.root / "saved"), "config": None, "revision": None}
    project.fails(
        "no columns 'text' and 'label'",
        "sentence",
        "Set prepare.text=sentence, prepare.label=mood",
        source="hub",
        hub=hub,
    )
    columns = {"source": "hub", "text": "sentence", "label": "mood"}
    project.fails("no split 'dev'", "`prepare.validation`", hub=hub, validation="dev", **columns)
    project.fails("`prepare.hub.dataset` is null", hub=hub | {"dataset": None}, **columns)
    project.fails("nowhere: no such folder", "`prepare.hub.dataset`", hub=hub | {"dataset": "./nowhere"}, **columns)


def test_a_hub_split_published_without_labels_is_refused(project: Project) -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])})
    train = {"text": [text for text, _ in rows(20)], "label": [0, 1] * 10}
    splits = {"train": train, "test": {"text": ["t", "u"], "label": [-1, -1]}}
    datasets.DatasetDict(
        {name: datasets.Dataset.from_dict(columns, features=features) for name, columns in splits.items()}
    ).save_to_disk(project.root / "saved")
    hub = {"dataset": str(project.root / "saved"), "config": None, "revision": None}
    project.fails("(test): all labels are -1", "`prepare.test`", source="hub", hub=hub)


def save_table(project: Project, texts: list[Any], kind: Any, labels: list[Any]) -> dict[str, Any]:
    """Save a data set with only the split `train`; return the parameters that read it."""
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": kind})
    made = datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)
    datasets.DatasetDict({"train": made}).save_to_disk(project.root / "saved")
    return {"source": "hub", "hub": {"dataset": "saved", "config": None, "revision": None}}


TEXTS = [text for text, _ in rows(40)]


@pytest.mark.parametrize(
    ("kind", "labels", "names"),
    [
        ("float32", [2.7, 0.1], ["0.1", "2.7"]),
        ("decimal128(9, 2)", [Decimal("1.50"), Decimal("2.00")], ["1.5", "2"]),
        ("int64", [2**53 + 1, 2**53 + 3], [str(2**53 + 1), str(2**53 + 3)]),
        (["1.1", "b", "1.10"], [0, 1], ["1.1", "b"]),
    ],
)
def test_labels_of_the_hub_are_read_as_from_parquet(project: Project, kind: Any, labels: Any, names: Any) -> None:
    import datasets

    kind = datasets.Value(kind) if isinstance(kind, str) else datasets.ClassLabel(names=kind)
    hub = save_table(project, TEXTS, kind, labels * 20)
    assert project.prepare(**hub)[0].labels == names


@pytest.mark.parametrize("faulty", [[-1], [None], [0, None]])
def test_an_id_without_a_name_in_a_list_is_named(project: Project, faulty: list[Any]) -> None:
    import datasets

    kind = datasets.Sequence(datasets.ClassLabel(names=["a", "b"]))
    hub = save_table(project, TEXTS, kind, [*[[0], [1]] * 19, faulty, None])
    project.fails("saved (train): row 39 has no label", multi_label=True, **hub)


def test_a_label_that_is_missing_on_the_hub_is_named(project: Project) -> None:
    import datasets

    hub = save_table(project, TEXTS, datasets.Value("int64"), [*[2**53 + 1, 2**53 + 3] * 19, 1, None])
    project.fails("saved (train): row 40 has no label", **hub)
    project.fails("classes have fewer than 2 examples, such as 'text 0' has 1 example", label="text", **hub)


def test_columns_of_the_hub_that_hold_no_text_or_labels(project: Project) -> None:
    import datasets

    hub = save_table(project, TEXTS, datasets.Value("date32"), [datetime.date(2020, 1, 1 + i % 2) for i in range(40)])
    project.fails("saved (train): the column 'label' holds date32[day], neither strings nor numbers", **hub)
    project.fails("saved (train): the column 'label' holds date32[day], not strings", text="label", **hub)


@pytest.mark.slow
@pytest.mark.parametrize("network", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_an_unreachable_hub_is_one_line_within_seconds(project: Project, network: dict[str, str]) -> None:
    project.params(source="hub", hub={"dataset": "dair-ai/emotion", "config": None, "revision": None})
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, ROOT / "src/prepare.py"],
        env={**os.environ, "HF_HOME": str(project.root / "cache"), **network},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert time.monotonic() - start < 20
    assert len(done.stderr.splitlines()) == 1
    for word in ("dair-ai/emotion", "cannot be reached", "prepare.source=files", "HF_ENDPOINT"):
        assert word in done.stderr
    assert not (project.root / "data").exists()


def test_a_hubs_lists_of_class_labels_keep_their_names(project: Project) -> None:
    rows = make_mixed_texts(60, 0)
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.Sequence(datasets.ClassLabel(names=list(FEELINGS)))}
    )
    made = datasets.Dataset.from_dict({name: rows[name].tolist() for name in ("text", "label")}, features)
    datasets.DatasetDict({"train": made}).save_to_disk(project.data / "hub")
    hub = {"dataset": str(project.data / "hub"), "config": None, "revision": None}
    data, _ = project.prepare(source="hub", hub=hub, multi_label=True)
    assert data.labels == list(FEELINGS)
    known = dict(zip(rows["text"], rows["label"], strict=True))
    assert all(list(ids) == known[text] for text, ids in data.test.itertuples(index=False))


def test_vectors_of_0_and_1_are_no_ids_that_have_names(project: Project) -> None:
    kind = datasets.Sequence(datasets.ClassLabel(names=["no", "yes"]))
    features = datasets.Features({"text": datasets.Value("string"), "label": kind})
    columns = {"text": [f"text {i}" for i in range(40)], "label": [[0, 1, 0], [1, 0, 0]] * 20}
    made = datasets.Dataset.from_dict(columns, features)
    datasets.DatasetDict({"train": made}).save_to_disk(project.root / "saved")
    hub = {"dataset": "saved", "config": None, "revision": None}
    project.fails("saved (train): the labels are multi-hot vectors", multi_label=True, source="hub", hub=hub)


def test_several_columns_of_a_hub_data_set_are_joined(project: Project) -> None:
    import datasets

    texts = {"title": ["a", "", None, " "] * 10, "body": [f"text {i}" for i in range(40)], "label": ["x", "y"] * 20}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(texts)}).save_to_disk(project.root / "saved")
    hub = {"dataset": str(project.root / "saved"), "config": None, "revision": None}
    data, _ = project.prepare(source="hub", hub=hub, text=["title", "body"])
    found = [text for split in ("train", "validation", "test") for text in data.split(split)["text"]]
    assert sorted(found) == sorted(f"{'a ' * (i % 4 == 0)}text {i}" for i in range(40))
