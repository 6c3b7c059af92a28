"""Files that the page holds."""

from base64 import b64decode
from io import BytesIO

import pandas as pd

from potstill.report import downloads


def content(file):
    return b64decode(file["href"].split(",", 1)[1])


def test_a_table_is_csv_that_spreadsheets_read():
    rows = [{"text": 'ça, "x"\n日本', "confidence": 0.987654, "more": 1}, {"text": "=1+1", "confidence": 0.5}]
    file = downloads.table(rows, ("text", "confidence"))
    assert content(file).startswith(b"\xef\xbb\xbftext,confidence")
    assert pd.read_csv(BytesIO(content(file))).to_dict("list") == {
        "text": ['ça, "x"\n日本', "'=1+1"],  # which Excel does not compute
        "confidence": [0.9877, 0.5],
    }
    assert (file["rows"], file["total"]) == (2, 2)


def test_a_large_table_is_cut_and_says_so():
    rows = [{"text": f"text {i}"} for i in range(1000)]
    file = downloads.table(rows, ("text",), limit=2000)
    assert len(content(file)) <= 2000
    assert file["total"] == 1000
    assert 150 < file["rows"] < 210
    assert pd.read_csv(BytesIO(content(file)))["text"].tolist() == [f"text {i}" for i in range(file["rows"])]


def test_without_rows_there_is_no_file():
    assert downloads.table([], ("text",)) is None
    assert downloads.table([{"text": "a" * 100}], ("text",), limit=10) is None


def test_a_large_model_is_left_out():
    facts = {"error_analysis": {"all_errors": []}, "label_errors": {"all_rows": []}, "to_label": []}
    assert downloads.collect(b"m" * 10, True, facts)["model"] == "data:application/octet-stream;base64,bW1tbW1tbW1tbQ=="
    assert downloads.collect(b"m" * (downloads.LIMIT + 1), True, facts)["model"] is None
