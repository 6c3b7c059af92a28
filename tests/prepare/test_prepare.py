"""The stage `prepare`: sources, formats, cleaning, counts and invalid inputs."""

from potstill.core.start import run

import datetime
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import prepare
from potstill.core import files, paths
from potstill.data.clean import comparison_keys
from potstill.data.dataset import Dataset
from tests.prepare_project import Project, rows, three_splits
from tests.project import ROOT

EXAMPLE = ROOT / "data/example"


# Sources and formats


def test_the_example_in_the_repository_is_read(project: Project) -> None:
    data, facts = project.prepare(path=str(EXAMPLE), unlabelled=["unlabelled.txt"])
    assert data.labels == ["account", "billing", "bug"]
    assert facts["rows"] == {"train": 12, "validation": 6, "test": 6, "unlabelled": 10}
    assert facts["labels"]["train"] == {"account": 4, "billing": 4, "bug": 4}
    assert facts["made_from_train"] == {"validation": 0, "test": 0}
    assert list(data.train) == ["text", "label"]
    assert data.train["label"].dtype == "int64"


def test_the_demo_corpus_is_prepared_and_cut_to_few_labels(project: Project) -> None:
    sizes = {"train": 120, "validation": 40, "test": 40, "unlabelled": 50}
    data, facts = project.prepare(source="demo", demo=sizes, max_labelled=30)
    assert len(data.train) == 30
    assert set(data.train["label"]) == set(range(len(data.labels)))
    assert facts["moved_to_unlabelled"] == 90
    assert facts["rows"]["test"] == 40


def test_every_format_gives_the_same_data(project: Project) -> None:
    frame = pd.DataFrame([*rows(20), ('He said "no; never", twice', "good")], columns=["text", "label"])
    frame.to_csv(project.data / "a.csv", index=False)
    frame.to_csv(project.data / "a.tsv", index=False, sep="\t")
    frame.to_json(project.data / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(project.data / "a.parquet")
    lines = "".join(f"{text};{label}\n" for text, label in frame.itertuples(index=False))
    (project.data / "a.txt").write_text(lines)
    (project.data / "bom.txt").write_text(lines.replace("\n", "\r\n") + "\r\n", encoding="utf-8-sig")
    for split in ("val", "test"):
        project.table(f"{split}.csv", rows(4, word=split))
    expected, _ = project.prepare(train="a.csv")
    assert len(expected.train) == 21
    for name in ("a.tsv", "a.jsonl", "a.parquet", "a.txt", "bom.txt"):
        data, _ = project.prepare(train=name)
        pd.testing.assert_frame_equal(data.train, expected.train)


def test_columns_go_by_the_names_given(project: Project) -> None:
    pd.DataFrame({"id": range(40), "tweet": [t for t, _ in rows(40)], "mood": ["up", "down"] * 20}).to_csv(
        project.data / "train.csv", index=False
    )
    data, _ = project.prepare(text="tweet", label="mood")
    assert data.labels == ["down", "up"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "txt"])
def test_ids_are_labels_and_take_the_names_given(project: Project, ending: str) -> None:
    frame = pd.DataFrame(rows(40, labels=(0, 1)), columns=["text", "label"])
    path = project.data / f"train.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif ending == "parquet":
        frame.to_parquet(path)
    else:
        path.write_text("".join(f"{text};{label}\n" for text, label in frame.itertuples(index=False)))
    named, facts = project.prepare(label_names=["no", "yes"])
    assert named.labels == ["no", "yes"]
    assert set(facts["labels"]["train"]) == {"no", "yes"}
    unnamed, _ = project.prepare()
    assert unnamed.labels == ["0", "1"]
    pd.testing.assert_frame_equal(named.train, unnamed.train)


def test_ids_are_ordered_as_numbers(project: Project) -> None:
    project.table("train.csv", rows(48, labels=(10, 9, 2)))
    assert project.prepare()[0].labels == ["2", "9", "10"]


def test_names_take_the_order_given(project: Project) -> None:
    three_splits(project)
    assert project.prepare()[0].labels == ["bad", "good"]
    data, facts = project.prepare(label_names=["good", "bad"])
    assert data.labels == ["good", "bad"]
    assert data.train["label"].tolist()[:2] == [1, 0]
    assert facts["labels"]["train"] == {"good": 10, "bad": 10}


def test_a_class_may_be_called_none_or_na(project: Project) -> None:
    project.table("train.csv", rows(40, labels=("None", "NA")))
    assert project.prepare()[0].labels == ["NA", "None"]


def test_unlabelled_text_comes_from_lines_and_tables(project: Project) -> None:
    three_splits(project)
    (project.data / "more").mkdir()
    (project.data / "more/lines.txt").write_text('one; two\n\n"three", four\n')
    pd.DataFrame({"text": ["five"]}).to_parquet(project.data / "table.parquet")
    data, _ = project.prepare(unlabelled=["more/lines.txt", "table.parquet"])
    assert data.unlabelled["text"].tolist() == ["one; two", '"three", four', "five"]


# Splits that are made


def test_missing_splits_are_made_stratified_without_sharing_a_text(project: Project) -> None:
    texts = rows(60, labels=("a", "a", "b"))
    project.table("all.csv", texts + [(text.upper(), label) for text, label in texts[:30]])
    data, facts = project.prepare(path="mine/all.csv", validation_share=0.2, test_share=0.1)
    assert facts["made_from_train"]["test"] > 0
    assert sum(facts["rows"].values()) == 90
    splits = [set(comparison_keys(data.split(split)["text"])) for split in ("train", "validation", "test")]
    assert [len(split) for split in splits] == [42, 12, 6]
    assert len(set.union(*splits)) == 60
    counts = pd.Series([int(text.split()[1]) % 3 == 2 for text in splits[2]]).sum()
    assert counts == 2


def test_a_made_validation_split_holds_no_copy_of_a_given_test_text(project: Project) -> None:
    project.table("train.csv", rows(40))
    project.table("test.csv", rows(20))
    data, facts = project.prepare(validation_share=0.4)
    assert facts["removed"]["train"] == {"in_validation": 0, "in_test": 20, "rows": 20}
    assert not set(data.validation["text"]) & set(data.test["text"])


def test_the_seed_decides_the_splits(project: Project) -> None:
    project.table("train.csv", rows(60))
    first, again = project.prepare(seed=1)[0], project.prepare(seed=1)[0]
    other = project.prepare(seed=2)[0]
    pd.testing.assert_frame_equal(first.test, again.test)
    assert first.test["text"].tolist() != other.test["text"].tolist()


def test_few_labels_keep_every_class_and_turn_the_rest_into_text(project: Project) -> None:
    project.table("train.csv", rows(95, labels=("often",)) + rows(3, ("rare",), "r") + rows(2, ("odd",), "o"))
    project.table("dev.csv", [("v", "often")])
    project.table("test.csv", [("t", "rare")])
    data, facts = project.prepare(max_labelled=10)
    assert facts["labels"]["train"] == {"often": 8, "rare": 1, "odd": 1}
    assert facts["rows"]["unlabelled"] == facts["moved_to_unlabelled"] == 90
    assert len({*data.train["text"], *data.unlabelled["text"]}) == 100
    assert project.prepare(max_labelled=100)[1]["rows"]["train"] == 100


def test_few_validation_labels_are_a_sample_of_the_split(project: Project) -> None:
    project.table("train.csv", rows(40, labels=("often", "rare", "odd")))
    held_out = rows(30, ("often",), "v") + rows(10, ("rare",), "w")  # and none of the third class
    project.table("dev.csv", held_out)
    project.table("test.csv", [("t", "rare")])
    data, facts = project.prepare(max_validation=8, max_labelled=10)
    assert facts["labels"]["validation"] == {"often": 6, "rare": 2, "odd": 0}
    assert facts["left_out_of_validation"] == 32
    assert set(data.validation["text"]) < {text for text, _ in held_out}
    assert not set(data.unlabelled["text"]) & {text for text, _ in held_out}
    other, _ = project.prepare(max_validation=8, max_labelled=10, seed=1)
    assert set(other.validation["text"]) != set(data.validation["text"])


# Copies


def test_copies_of_held_out_texts_are_removed_whatever_their_case_and_white_space(project: Project) -> None:
    held_out = [("  TEST   0 ", "bad"), ("validation\t1", "good")]
    project.table("train.csv", [*rows(20), *held_out])
    project.table("val.csv", [*rows(4, word="validation"), ("test 0", "good")])
    project.table("test.csv", rows(4, word="test"))
    (project.data / "more.txt").write_text("Test 3\nTEXT 1\nnew\nNEW\nnewer\n")
    data, facts = project.prepare(unlabelled=["more.txt"])
    assert data.train["text"].tolist() == [text for text, _ in rows(20)]
    assert facts["removed"]["train"] == {"in_validation": 2, "in_test": 1, "rows": 2}
    assert data.unlabelled["text"].tolist() == ["new", "newer"]
    assert facts["removed"]["unlabelled"] == {"in_validation_or_test": 1, "in_train": 1, "duplicates": 1}
    assert facts["validation_texts_in_test"] == 1
    assert facts["rows"]["validation"] == 5  # published splits stay as they are


def test_repeated_texts_and_texts_with_two_labels_are_counted_and_kept(project: Project) -> None:
    three_splits(project)
    project.table("train.csv", [*rows(20), ("TEXT 0", "bad"), ("text 1", "bad"), ("text  1", "bad")])
    data, facts = project.prepare()
    assert (facts["duplicates"], facts["two_labels"]) == (2, 1)
    assert len(data.train) == 23


# The hub's form


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
    project.fails("no column 'text'", "sentence", "`prepare.text`", source="hub", hub=hub)
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
    project.fails("class 'text 0' has 1 example", label="text", **hub)


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


# Bad files


def test_a_failure_leaves_the_earlier_result_alone(project: Project) -> None:
    three_splits(project)
    before, _ = project.prepare()
    project.table("train.csv", [("", "good"), *rows(20)])
    project.run_fails("train.csv")
    pd.testing.assert_frame_equal(Dataset.load(paths.PREPARED).train, before.train)


def test_missing_path(project: Project) -> None:
    project.fails("nowhere: no such file", "`prepare.path`", path="nowhere")


def test_missing_file(project: Project) -> None:
    three_splits(project)
    project.fails("mine/other.csv: no such file", "`prepare.test`", test="other.csv")
    project.fails("mine/more.txt: no such file", "`prepare.unlabelled`", unlabelled=["more.txt"])


def test_folder_without_train_file(project: Project) -> None:
    project.table("tickets.csv", rows())
    project.fails("mine: no train split", "`prepare.train`")


def test_two_files_for_one_split(project: Project) -> None:
    three_splits(project)
    project.table("DEV.csv", rows())
    project.fails("DEV.csv and val.csv", "`prepare.validation`")
    assert project.prepare(validation="val.csv")[1]["rows"]["validation"] == 4


def test_file_outside_path(project: Project) -> None:
    three_splits(project)
    outside = project.root / "outside.csv"
    outside.write_text("text,label\na,good\n")
    for name in ("../outside.csv", str(outside)):
        project.fails("`prepare.test`", "outside.csv", "outside `prepare.path`", "DVC", test=name)
    project.fails("`prepare.test`", "single file", path="mine/train.csv", test="test.csv")


def test_unknown_format(project: Project) -> None:
    (project.data / "train.xlsx").write_text("x")
    project.fails("train.xlsx", ".csv, .tsv, .jsonl, .ndjson, .parquet, .pq, .txt", ".gz", train="train.xlsx")


@pytest.mark.parametrize("name", ["train.csv", "train.tsv", "train.jsonl", "train.parquet", "train.txt"])
@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_empty_or_blank_file(project: Project, name: str, content: bytes) -> None:
    (project.data / name).write_bytes(content)
    project.fails(f"mine/{name}")


def test_header_without_rows(project: Project) -> None:
    (project.data / "train.csv").write_text("text,label\n")
    project.fails("mine/train.csv: no rows")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "txt"])
def test_non_utf8_bytes(project: Project, ending: str) -> None:
    path = project.data / f"train.{ending}"
    rows_ = {
        "csv": "text,label\ncafé,good\n",
        "tsv": "text\tlabel\ncafé\tgood\n",
        "txt": "one;good\ncafé;good\n",
    }
    content = rows_.get(ending, '{"text": "one", "label": "good"}\n{"text": "café", "label": "good"}\n')
    path.write_bytes(content.encode("latin-1"))
    place = "row 1" if ending in ("csv", "tsv") else "line 2"
    said = project.fails(f"mine/train.{ending}: {place} has a byte that is not UTF-8 (0xe9)", "looks like Latin-1")
    assert f"`iconv -f latin1 -t utf-8 mine/train.{ending} > NEW`" in said


def test_non_utf8_bytes_far_into_a_large_file(project: Project) -> None:
    (project.data / "train.csv").write_bytes(b"text,label\n" + b"some text,good\n" * 30000 + b"caf\xe9,good\n")
    project.fails("mine/train.csv", "row 30001")


def test_damaged_tables(project: Project) -> None:
    (project.data / "a.jsonl").write_text('{"text": "one", "label": "good"}\n{"text": \n')
    (project.data / "a.parquet").write_text("no parquet")
    (project.data / "a.csv").write_text("text,label\nhello, world,good\nbye,bad\n")
    (project.data / "b.csv").write_text("text,label\nhello,good\nbye, world,bad\n")
    (project.data / "c.csv").write_text('text,label\n"hello,good\nbye,bad\n')
    project.fails("mine/a.jsonl: line 2 is not valid JSON", train="a.jsonl")
    project.fails("mine/a.parquet: it is not a valid Parquet file", train="a.parquet")
    project.fails("mine/a.csv: row 1 has 3 fields, but the header has 2", train="a.csv")
    project.fails("mine/b.csv: row 2 has 3 fields, but the header has 2", train="b.csv")
    project.fails("mine/c.csv: row 1 (line 2) opens a quote", train="c.csv")


def test_missing_column(project: Project) -> None:
    three_splits(project)
    project.fails("mine/train.csv: no column 'mood'", "'text', 'label'", "`prepare.label`", label="mood")
    pd.DataFrame({"tweet": ["a"]}).to_csv(project.data / "more.csv", index=False)
    project.fails("mine/more.csv: no column 'text'", "tweet", "`prepare.text`", unlabelled=["more.csv"])


def test_line_without_semicolon(project: Project) -> None:
    (project.data / "train.txt").write_text("one;good\n\ntwo\n")
    project.fails("mine/train.txt: line 3 has no semicolon", "text;label")


@pytest.mark.parametrize("text", ["", "   "])
def test_text_that_is_missing(project: Project, text: str) -> None:
    three_splits(project)
    project.table("test.csv", [("fine", "good"), (text, "bad")])
    project.fails("mine/test.csv: row 2 has no text", "remove the row")
    (project.data / "a.txt").write_text(f"fine;good\n{text};bad\n")
    project.fails("mine/a.txt: line 2 has no text", test="a.txt")


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_text_that_is_null(project: Project, ending: str) -> None:
    three_splits(project)
    frame = pd.DataFrame({"text": ["fine", None], "label": ["good", "bad"]})
    path = project.data / f"a.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_json(path, orient="records", lines=True)
    unit = "row" if ending == "parquet" else "line"
    project.fails(f"mine/a.{ending}: {unit} 2 has no text", test=path.name)


def test_values_that_are_no_text_or_no_label(project: Project) -> None:
    three_splits(project)
    pd.DataFrame({"text": [1.5, 2.5], "label": ["good", "bad"]}).to_parquet(project.data / "a.parquet")
    project.fails("a.parquet: the column 'text' holds double, not strings", test="a.parquet")
    pd.DataFrame({"text": ["a"], "label": [["good", "bad"]]}).to_parquet(project.data / "b.parquet")
    project.fails("b.parquet: row 1 has the label", "neither a name nor an id", test="b.parquet")
    project.table("c.csv", [("a", "")])
    project.fails("c.csv: row 1 has no label", test="c.csv")


def test_label_in_test_that_train_lacks(project: Project) -> None:
    three_splits(project)
    project.table("test.csv", [("fine", "good"), ("so so", "neutral")])
    project.fails("mine/test.csv: row 2", "'neutral'", "mine/train.csv")


def test_class_with_one_example(project: Project) -> None:
    three_splits(project)
    project.table("train.csv", [*rows(20), ("odd one", "odd")])
    project.fails("mine/train.csv: class 'odd' has 1 example", "Add examples")


def test_class_whose_examples_are_copies_of_test_texts(project: Project) -> None:
    three_splits(project)
    project.table("train.csv", [*rows(20), ("test 1", "odd"), ("test 2", "odd")])
    project.fails("mine/train.csv: class 'odd' has 0 examples", "copies of validation and test texts")


def test_class_with_too_few_texts_to_split(project: Project) -> None:
    project.table("train.csv", [*rows(40), ("odd one", "odd"), ("ODD one", "odd")])
    project.fails("mine/train.csv", "class 'odd' has 1 different text", "`prepare.test_share`", "Add examples")


@pytest.mark.parametrize(("count", "made", "mend"), [(1, "0 rows", "Add different texts"), (8, "1 row,", "Raise it")])
def test_a_share_that_is_too_small_is_raised_only_where_that_helps(project: Project, count, made, mend) -> None:
    project.table("train.csv", [(f"text {n % count}", ("bad", "good")[n % 2]) for n in range(50)])
    project.fails(f"of {count} different text", f"makes {made}", f"than the 2 classes. {mend}", test_share=0.13)


def test_one_class_only(project: Project) -> None:
    project.table("train.csv", rows(20, labels=("good",)))
    project.fails("mine/train.csv: only the label 'good'")


def test_labels_that_do_not_fit_the_data(project: Project) -> None:
    three_splits(project)
    project.fails("mine/train.csv: row 1", "'bad'", "`prepare.label_names`", label_names=["good", "worse"])
    project.fails("has 'fair'", "Remove it", label_names=["good", "bad", "fair"])
    project.table("train.csv", rows(20, labels=(0, 1, 2)))
    project.table("val.csv", rows(20, labels=(0, 1), word="v"))
    project.table("test.csv", rows(20, labels=(0, 1), word="t"))
    project.fails("mine/train.csv: row 3 has the label '2'", "ids 0 to 1", label_names=["no", "yes"])
    project.table("val.csv", rows(20, labels=(-1,), word="v"))
    project.table("train.csv", rows(20, labels=(-1, 0, 1)))
    project.fails("mine/train.csv: row 1 has the label '-1'", label_names=["no", "yes"])


# Bad parameters


def test_labelled_out_of_range(project: Project) -> None:
    three_splits(project)
    project.fails("`prepare.max_labelled` is 21", "20 rows", "2 to 20", max_labelled=21)
    project.fails("`prepare.max_labelled` is 1,", "2 classes", max_labelled=1)
    project.fails("`prepare.max_labelled` is 0", max_labelled=0)
    project.fails("`prepare.max_validation` is 1,", "validation has", max_validation=1)


def test_unknown_key(project: Project) -> None:
    project.fails("`prepare.labeled`", "did you mean `label` or `unlabelled` or `max_labelled`", labeled=100)
    project.fails("`prepare.hub.datset`", hub={"dataset": None, "config": None, "revision": None, "datset": 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source", "kaggle"), ("max_labelled", "abc"), ("seed", -1), ("seed", "abc"), ("path", None),
        ("path", ""), ("unlabelled", "more.txt"), ("label_names", ["one"]), ("label_names", ["a", "a"]),
        ("validation_share", 0), ("test_share", 0.5), ("test_share", "half"),
    ],
)  # fmt: skip
def test_wrong_type_or_out_of_range(project: Project, key: str, value: Any) -> None:
    shown = "null" if value is None else repr(value)
    project.fails("params.yaml", f"`prepare.{key}` is {shown}", **{key: value})


def test_demo_size_out_of_range(project: Project) -> None:
    sizes = {"train": 0, "validation": 40, "test": 40, "unlabelled": 50}
    project.fails("`prepare.demo.train` is 0", source="demo", demo=sizes)


def test_a_share_as_dvc_writes_it_is_a_number(project: Project) -> None:
    project.table("train.csv", rows(40))
    project.params(test_share=0.125)
    file = project.root / "params.yaml"
    file.write_text(file.read_text().replace("0.125", "1e-05"))
    project.run_fails("`prepare.test_share` 1e-05 of 40 different texts", "makes 0 rows", "Raise it")
    file.write_text(file.read_text().replace("1e-05", "1.25e-1"))
    run(prepare.main)
    assert len(Dataset.load(paths.PREPARED).test) == 5
