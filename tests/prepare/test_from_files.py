import gzip
import json
import os
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.prepare_project import Project, rows, three_splits
from tests.tables import ROWS, write_file, write_frame, zstd
from tests.tasks import FEELINGS, make_mixed_texts


def test_every_ending_gives_the_same_data(project: Project) -> None:
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)
    write_file(project.data / "a.jsonl", lines)
    write_file(project.data / "b.ndjson.gz", gzip.compress(lines.encode()))
    write_file(project.data / "c.JSONL.zst", zstd(lines.encode()))
    write_file(
        project.data / "d.txt.gz", gzip.compress("".join(f"{text};{label}\n\n" for text, label in ROWS).encode())
    )
    pd.DataFrame(ROWS, columns=["text", "label"]).to_parquet(project.data / "e.pq")
    frames = [
        project.prepare(train=name)[0].train for name in ("a.jsonl", "b.ndjson.gz", "c.JSONL.zst", "d.txt.gz", "e.pq")
    ]
    for frame in frames:
        pd.testing.assert_frame_equal(frame, frames[0])


def test_all_parts_of_a_split_are_read_in_their_order(project: Project) -> None:
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    for i, part in enumerate((frame[:7], frame[7:20], frame[20:])):
        part.to_parquet(project.data / f"train-0000{i}-of-00003.parquet")
    for split in ("validation", "test"):
        project.table(f"{split}-00000-of-00001-abcdef01.csv", rows(4, word=split))
    data, _ = project.prepare()
    assert data.train["text"].tolist() == frame["text"].tolist()
    part = pd.DataFrame({"text": ["x", None], "label": ["good", "bad"]})
    part.to_parquet(project.data / "train-00002-of-00003.parquet")
    assert project.prepare()[0].train["text"].tolist()[-1] == "x"
    (project.data / "train-00001-of-00003.parquet").unlink()
    project.fails("no train-00001-of-00003 (found: 2 of 3 shards)", "`prepare.train`")


def test_folders_pipes_and_broken_links_are_named(project: Project) -> None:
    train = project.data / "train.csv"
    train.symlink_to("nowhere.csv")
    project.fails("mine/train.csv: it is a link to nowhere.csv, which does not exist. Set `prepare.train` to a file in")
    project.fails("mine/train.csv: it is a link to nowhere.csv", path="mine/train.csv")
    train.unlink()
    os.mkfifo(train)
    project.fails("mine/train.csv: it is a pipe or a device. Set `prepare.train` to a file in mine")
    project.fails("mine/train.csv: it is a pipe or a device", path="mine/train.csv")
    train.unlink()
    train.mkdir()
    for given in (None, "train.csv"):
        project.fails("mine/train.csv: it is a folder. Set `prepare.train` to a file in mine", train=given)
    write_file(project.data / "train.jsonl", "".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in ROWS))
    assert project.prepare()[0].labels == ["bad", "good"]
    (project.data / "val.csv").mkdir()
    project.fails("mine/val.csv: it is a folder. Set `prepare.validation`")


def test_a_label_of_a_part_is_named_by_its_row(project: Project) -> None:
    project.table("train.csv", rows(20))
    project.table("test-00000-of-00002.csv", rows(4, word="t"))
    project.table("test-00001-of-00002.csv", [("u", "good"), ("v", "odd")])
    project.fails("mine/test-00001-of-00002.csv: row 2 has the label 'odd'")


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_line_without_the_key_of_the_label_is_named(project: Project, multi_label: bool) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    lines[6] = '{"text": "x", "lable": "good"}'
    write_file(project.data / "train.jsonl", "\n".join(lines))
    project.fails("line 7 has no key 'label' (found: 'text', 'lable')", multi_label=multi_label)
    lines[6:7] = ['{"text": "x", "label": null}', '{"text": "y", "label": []}']
    write_file(project.data / "train.jsonl", "\n".join(lines))
    if multi_label:
        assert sum(project.prepare(multi_label=True)[1]["without_label"].values()) == 2


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "text,label\n,good\n"), ("a.jsonl", '{"text": " ", "label": 1}')]
)
def test_a_file_without_any_text_is_refused(project: Project, name: str, content: str) -> None:
    write_file(project.data / name, content)
    project.fails(f"mine/{name}: no row has a text", train=name)
    project.table("train.csv", rows(20))
    project.fails(f"mine/{name}: no row has a text", unlabelled=[name])


def test_pandas_index_is_no_row_number(project: Project) -> None:
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    pd.concat([frame[:20], frame[20:].reset_index(drop=True)]).to_parquet(project.data / "train.parquet")
    assert project.prepare(max_labelled=10)[1]["rows"]["train"] == 10
    for index in (frame.index.astype(str), pd.MultiIndex.from_product([range(8), range(5)]), frame["text"]):
        frame.set_index(index).drop(columns="text" if index is frame["text"] else []).to_parquet(
            project.data / "train.parquet"
        )
        assert project.prepare()[0].labels == ["bad", "good"]


def test_a_bomb_ends_in_one_line(project: Project, monkeypatch) -> None:
    from potstill.prepare import from_files

    monkeypatch.setattr(from_files, "LARGE", 1 << 20)
    indices = pa.array(np.zeros(5000, np.int32))
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["a " * 5000]))
    pq.write_table(pa.table({"text": column, "label": ["a", "b"] * 2500}), project.data / "train.parquet")
    project.fails("unpacks to more than 300 times its")
    write_file(project.data / "train.csv.gz", gzip.compress(b"text,label\n" + b"a,b\n" * 100_000))
    project.fails("unpacks to more than 300 times its", train="train.csv.gz")


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


PARTS = [
    ("card", "declined at the till"),
    ("", "where is it"),
    ("help", ""),
    (None, "lost"),
    ("  ", "a, b"),
    ("x", None),
]
JOINED = ["card declined at the till", "where is it", "help", "lost", "a, b", "x"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_several_text_columns_are_joined(project: Project, ending: str, capsys) -> None:
    three_splits(project)
    for name in ("train.csv", "val.csv", "test.csv"):
        frame = pd.read_csv(project.data / name)
        parts = frame["text"].str.split(" ", expand=True)
        frame.assign(body=parts[1], subject=parts[0])[["label", "body", "subject"]].to_csv(
            project.data / name, index=False
        )
    frame = pd.DataFrame([*PARTS, (None, None)], columns=["subject", "body"])
    path = project.data / f"new.{ending}"
    write_frame(frame, path)
    data, _ = project.prepare(text=["subject", "body"], unlabelled=[path.name])
    assert data.unlabelled["text"].tolist() == JOINED
    assert data.train["text"].tolist() == [text for text, _ in rows(20)]
    unit = "line" if ending == "jsonl" else "row"
    assert f"mine/{path.name}: {unit} 7 has no text and is left out\n" in capsys.readouterr().err
    project.fails("no column 'title' (found: 'label', 'body', 'subject'). Set", text=["title", "body"])


def test_a_label_beside_several_texts_is_no_text(project: Project) -> None:
    # Rows that two stray quotes have merged are found by the column of the label, not of the second text.
    lines = [f"subject {i},body {i},{('bad', 'good')[i % 2]}" for i in range(20)]
    merged = ['a,"b', *lines[:4], 'c",good']
    write_file(project.data / "train.csv", "subject,body,label\n" + "\n".join([*lines, *merged]))
    project.fails("row 21 (lines 22 to 27) opens a quote that a later line closes", text=["subject", "body"])


def test_unlabelled_text_comes_from_lines_and_tables(project: Project) -> None:
    three_splits(project)
    (project.data / "more").mkdir()
    (project.data / "more/lines.txt").write_text('one; two\n\n"three", four\n')
    pd.DataFrame({"text": ["five"]}).to_parquet(project.data / "table.parquet")
    data, _ = project.prepare(unlabelled=["more/lines.txt", "table.parquet"])
    assert data.unlabelled["text"].tolist() == ["one; two", '"three", four', "five"]


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
    project.fails("mine/train.csv: no column 'mood'", "'text', 'label'", "Set prepare.label=label.", label="mood")
    pd.DataFrame({"tweet": ["a"]}).to_csv(project.data / "more.csv", index=False)
    project.fails("mine/more.csv: no column 'text'", "tweet", "Set prepare.text=tweet.", unlabelled=["more.csv"])


def test_line_without_semicolon(project: Project) -> None:
    (project.data / "train.txt").write_text("one;good\n\ntwo\n")
    project.fails("mine/train.txt: line 3 has no semicolon", "text;label")


def write_with_gap(path: Path, text: str | None) -> None:
    """Write rows of a split, of which the third and the last have this text."""
    frame = pd.DataFrame([("fine", "good"), ("sad", "bad"), (text, "bad"), ("fun", "good"), (text, "good")])
    frame.columns = ["text", "label"]
    write_frame(frame.fillna("") if path.suffix == ".txt" else frame, path)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl", "a.txt"])
@pytest.mark.parametrize("text", ["", "   ", None])
def test_rows_without_a_text_are_left_out(
    project: Project, name: str, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    three_splits(project)
    write_with_gap(project.data / name, text)
    data, _ = project.prepare(test=name)
    assert data.test["text"].tolist() == ["fine", "sad", "fun"]
    assert [data.labels[id_] for id_ in data.test["label"]] == ["good", "bad", "good"]
    unit = "line" if name in ("a.jsonl", "a.txt") else "row"
    assert f"mine/{name}: {unit} 3 has no text and is left out, as is 1 more\n" in capsys.readouterr().err


def test_other_faults_beside_a_missing_text_are_errors(project: Project) -> None:
    three_splits(project)
    write_file(project.data / "a.csv", "text,label\n,good\nfine,\n")
    project.fails("mine/a.csv: row 2 has no label", test="a.csv")
    write_file(project.data / "a.jsonl", '{"text": null, "label": "good"}\n{"text": 5, "label": "bad"}\n')
    project.fails("mine/a.jsonl: line 2 ", "5", test="a.jsonl")


def test_values_that_are_no_text_or_no_label(project: Project) -> None:
    three_splits(project)
    pd.DataFrame({"text": [1.5, 2.5], "label": ["good", "bad"]}).to_parquet(project.data / "a.parquet")
    project.fails("a.parquet: the column 'text' holds double, not strings", test="a.parquet")
    pd.DataFrame({"text": ["a"], "label": [["good", "bad"]]}).to_parquet(project.data / "b.parquet")
    project.fails("b.parquet: row 1 has the label", "neither a name nor an id", test="b.parquet")
    project.table("c.csv", [("a", "")])
    project.fails("c.csv: row 1 has no label", test="c.csv")


def mixed_rows(number: int, seed: int = 0) -> pd.DataFrame:
    rows = make_mixed_texts(number, seed)
    return rows.assign(label=[[list(FEELINGS)[id_] for id_ in ids] for ids in rows["label"]])


def test_every_form_gives_the_same_labels(project: Project) -> None:
    rows = mixed_rows(60)
    joined = rows.assign(label=rows["label"].map("|".join))
    rows.to_json(project.data / "a.jsonl", orient="records", lines=True)
    rows.to_parquet(project.data / "a.parquet")
    joined.to_json(project.data / "b.jsonl", orient="records", lines=True)
    joined.to_csv(project.data / "a.csv", index=False)
    joined.to_csv(project.data / "a.tsv", index=False, sep="\t")
    (project.data / "a.txt").write_text("".join(f"{text};{label}\n" for text, label in joined.itertuples(index=False)))
    expected, facts = project.prepare(train="a.jsonl", multi_label=True)
    assert expected.labels == sorted(FEELINGS)
    assert expected.multi_label
    assert json.loads((project.root / "data/prepared/dataset.json").read_text())["multi_label"] is True
    assert sum(facts["without_label"].values()) == (rows["label"].map(len) == 0).sum() > 0
    for name in ("a.parquet", "b.jsonl", "a.csv", "a.tsv", "a.txt"):
        found, _ = project.prepare(train=name, multi_label=True)
        for split in ("train", "validation", "test"):
            np.testing.assert_array_equal(found.targets(split), expected.targets(split))
            assert found.split(split)["text"].tolist() == expected.split(split)["text"].tolist()


def test_labels_are_the_ones_that_were_given(project: Project) -> None:
    texts = ["both", "none", "one", "other", "twice", *(f"more {i}" for i in range(8))]
    labels = ["joy|love", "", " joy ", "love", "joy|joy", *["joy", "love"] * 4]
    pd.DataFrame({"text": texts, "label": labels}).to_csv(project.data / "train.csv", index=False)
    for split in ("validation", "test"):
        pd.DataFrame({"text": [split], "label": ["joy"]}).to_csv(project.data / f"{split}.csv", index=False)
    data, facts = project.prepare(multi_label=True)
    assert data.labels == ["joy", "love"]
    assert data.targets("train")[:5].tolist() == [[1, 1], [0, 0], [1, 0], [0, 1], [1, 0]]
    assert facts["labels"]["train"] == {"joy": 7, "love": 6}
    assert facts["without_label"] == {"train": 1, "validation": 0, "test": 0}
    assert facts["removed"]["train"]["rows"] == facts["two_labels"] == 0


def test_lists_of_ids_are_read_with_label_names(project: Project) -> None:
    rows = make_mixed_texts(60, 0)
    rows.to_parquet(project.data / "train.parquet")
    data, _ = project.prepare(multi_label=True, label_names=["x", "y", "z"])
    assert data.labels == ["x", "y", "z"]
    known = dict(zip(rows["text"], rows["label"], strict=True))
    for text, ids in data.train.itertuples(index=False):
        assert list(ids) == known[text]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["a|b"] * 8 + ["a||b"], "line 9 has no label"),
        ([["a", "b"]] * 8 + [["a|b"]], "'a|b', but | separates labels"),
        ([["a", "b"]] * 8 + [[["a"]]], "line 9 has nested lists of labels, [['a']]. List names or ids only"),
        (
            ["a|b"] * 8 + ["['a', 'b']"],
            """line 9 has the labels "['a', 'b']", which is a list as a string. Join labels by |""",
        ),
        (["a|b"] * 8 + ['["a|b"]'], "line 9 has the labels"),
        (["a|b"] * 8 + [" []"], "line 9 has the labels ' []', which is a list as a string"),
        (["a|b"] * 8 + ["c"], "class 'c' has 1 example"),
        (["a"] * 8, "only the label 'a'"),
        ([""] * 8, "no labels"),
    ],
)
def test_bad_labels_end_in_one_line(project: Project, labels, says) -> None:
    rows = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
    rows.to_json(project.data / "train.jsonl", orient="records", lines=True)
    project.fails("mine/train.jsonl", says, multi_label=True)


@pytest.mark.parametrize("vectors", [[[0, 1, 0], [1, 0, 0]], [[0, 1], [0, 0]], [[True, False]], [[0.0, 1.0, 1.0]]])
@pytest.mark.parametrize("source", ["files", "hub"])
def test_vectors_of_0_and_1_are_no_ids(project: Project, vectors, source) -> None:
    columns = {"text": [f"text {i}" for i in range(40)], "label": [vectors[i % len(vectors)] for i in range(40)]}
    pd.DataFrame(columns).to_parquet(project.data / "train.parquet")
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns)}).save_to_disk(project.root / "saved")
    hub = {"dataset": "saved", "config": None, "revision": None}
    shown = ", ".join(map(str, vectors[0]))
    says = f": the labels are multi-hot vectors of 0 and 1 (found: {shown}). List the names or ids"
    project.fails(says, multi_label=True, source=source, hub=hub)


def test_lists_of_the_ids_0_and_1_are_read(project: Project) -> None:
    rows = pd.DataFrame(
        {"text": [f"text {i}" for i in range(40)], "label": [[[0], [1], [0, 1], []][i % 4] for i in range(40)]}
    )
    rows.to_parquet(project.data / "train.parquet")
    rows[2:3].to_parquet(project.data / "test.parquet")
    assert project.prepare(multi_label=True)[0].test["label"][0].tolist() == [0, 1]


def test_a_label_that_train_lacks_is_named(project: Project) -> None:
    mixed_rows(60).to_json(project.data / "train.jsonl", orient="records", lines=True)
    pd.DataFrame({"text": ["x"], "label": ["joy|envy"]}).to_csv(project.data / "test.csv", index=False)
    project.fails("mine/test.csv: row 1 has the label 'envy', which no row of mine/train.jsonl has", multi_label=True)


def test_lists_of_labels_are_refused_where_a_text_has_one(project: Project) -> None:
    mixed_rows(60).to_json(project.data / "train.jsonl", orient="records", lines=True)
    project.fails("mine/train.jsonl: line ", "`prepare.multi_label`")
