"""Columns that are proposed, on tables as people have them."""

import json

import pandas as pd
import pytest

from potstill.readers import propose
from tests.tables import write_file, write_frame

TEXTS = [
    "my card was charged twice for one order",
    "I cannot log in since the update, please help",
    "where is the invoice of last month?",
    "thank you, that solved it",
    "the app crashes when I open the settings page",
    "please cancel my subscription at the end of the year",
    "the parcel arrived with a broken lid and no manual",
]
LONG = [f"{text}. Hello, I wrote about this before and nobody answered." for text in TEXTS]


def columns(rows=40, **values):
    """Return columns of which the values repeat, or for a function are those of the row number."""
    return {
        name.replace("__", " "): [value(i) if callable(value) else value[i % len(value)] for i in range(rows)]
        for name, value in values.items()
    }


def text(of=TEXTS):
    return lambda i: f"{of[i % len(of)]} {chr(97 + i % 26)}{i}"


CASES = {
    "tickets": (
        columns(
            id=lambda i: 1000 + i, created_at=lambda i: f"2024-03-{i % 28 + 1:02d} 10:00", subject=text(),
            body=text(LONG), queue=["billing", "login", "sales"], assignee=lambda i: f"agent {i % 20}",
        ),
        "body", "queue",
    ),
    "reviews": (
        columns(
            reviewerID=lambda i: f"A{i:013d}", asin=lambda i: f"B0000{i % 13}", reviewText=text(LONG),
            overall=["5.0", "4.0", "1.0", "5.0"], summary=text(), unixReviewTime=lambda i: str(1_300_000_000 + i),
        ),
        "reviewText", "overall",
    ),
    "airlines": (
        columns(
            tweet_id=lambda i: str(570306133677760513 + i), airline_sentiment=["negative", "neutral", "positive"],
            airline_sentiment_confidence=["1.0", "0.3486", "0.6837", "0.6842"], airline=["United", "Delta"],
            name=lambda i: f"user{i}", tweet=text(), tweet_created=lambda i: f"2015-02-24 11:{i:02d}:52 -0800",
        ),
        "tweet", "airline_sentiment",
    ),
    "ag news": (
        columns(Class__Index=["1", "2", "3", "4"], Title=text(), Description=text(LONG)), "Description", "Class Index"
    ),
    "sms": (columns(v1=["ham", "ham", "spam"], v2=text(), **{"Unnamed: 2": [None]}), "v2", "v1"),
    "banking": (columns(query=text(), intent=lambda i: f"intent {i % 15}"), "query", "intent"),
    "yelp": (
        columns(
            review_id=lambda i: f"{i:022x}", user_id=lambda i: f"{i % 9:022x}", stars=[4.0, 5.0, 1.0],
            date=lambda i: f"2018-07-{i % 28 + 1}", content=text(LONG), useful=[0, 1, 0, 2], cool=[0, 1],
        ),
        "content", "stars",
    ),
    "forum, multi-label": (
        columns(link=lambda i: f"https://example.org/{i}", post=text(), tags=[["a", "b"], ["b"], [], ["c"]]),
        "post", "tags",
    ),
    "chinese": (
        columns(编号=str, 内容=lambda i: f"这家酒店的服务非常好房间也很干净早餐丰富推荐{i}", 类别=["好评", "差评"]),
        "内容", "类别",
    ),
    "mails": (
        columns(email=lambda i: f"a{i}@example.org", message=text(), is_spam=[True, False], time=lambda i: f"{i}:00"),
        "message", "is_spam",
    ),
    "three rows": (
        columns(3, utterance=TEXTS, category=["a", "b", "c"], other=["x", "y", "z"]), "utterance", "category"
    ),
    "names only": ({"headline": [], "label": [], "id": []}, "headline", "label"),
    "titles of one word": (columns(title=lambda i: f"Word{'abcdef'[i % 6]}{i}", genre=["a", "b"]), "title", "genre"),
    "numbers": (columns(age=lambda i: i, income=lambda i: i * 1.5), None, None),
    "texts alone": (columns(id=lambda i: i, answer=text()), "answer", None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_columns_of_text_and_label_are_found(name):
    table, of_text, of_label = CASES[name]
    found = propose.propose(table)
    assert (found.get("text"), found.get("label")) == (of_text, of_label)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_is_looked_at(project, ending):
    frame = pd.DataFrame(CASES["tickets"][0])
    path = project.data / f"train.{ending}"
    write_frame(frame, path)
    found = "('id', 'created_at', 'subject', 'body', 'queue', 'assignee')".strip("()")
    unit = {"jsonl": "line 1 (also 2, 3, 4 and 36 more) has no keys"}.get(ending, "no columns")
    says = (
        f"mine/train.{ending}: {unit} 'text' and 'label' (found: {found}). Set prepare.text=body, prepare.label=queue."
    )
    assert project.fails(says) == f"error: {says}"
    project.fails("'text' (found", "Set prepare.text=body.", label="queue")
    project.fails("'kind' (found", "Set prepare.label=queue.", text="body", label="kind")
    project.fails("'bodi' (found", "Set prepare.text=[subject,body].", text=["subject", "bodi"], label="queue")
    project.fails("'a' and 'b' (found", "Set prepare.text=body.", text=["a", "b"], label="queue")


def test_columns_that_semicolons_separate_are_looked_at(project):
    pd.DataFrame(CASES["tickets"][0]).to_csv(project.data / "train.csv", sep=";", index=False)
    project.fails(
        "no columns 'text' and 'label' (found: 'id', 'created_at'", "Set prepare.text=body, prepare.label=queue."
    )


def test_what_is_not_found_is_not_proposed(project):
    pd.DataFrame(CASES["numbers"][0]).to_csv(project.data / "train.csv", index=False)
    project.fails("no columns 'text' and 'label' (found: 'age', 'income'). Set `prepare.text`, `prepare.label`.")


def test_a_line_that_lacks_a_key_of_others_is_to_be_corrected(project):
    lines = [json.dumps({"text": f"{text} {i}", "label": i % 2}) for i, text in enumerate(TEXTS * 3)]
    lines[4] = '{"txet": "my parcel is late, where is it", "label": 1}'
    write_file(project.data / "train.jsonl", "\n".join(lines))
    project.fails("mine/train.jsonl: line 5 has no key 'text' (found: 'txet', 'label'). Add it, or remove the row.")


def test_a_stream_is_not_read_twice():
    advise = propose.advise("-", "csv", {"text": "--text"}, propose.option)
    assert advise(["text"]) == "Set `--text`"
