"""`potstill drift`."""

import json
import re

import pytest

from potstill import cli
from tests.command import call, refused, write
from tests.profiles import IN_DOMAIN, with_profile
from tests.students import multi_label_student

OTHERS = ["unheard <b>words</b> only, in a longer text"] * 50


@pytest.fixture
def profiled(tmp_path):
    with_profile(IN_DOMAIN * 40).save(tmp_path / "a.pot")
    return tmp_path / "a.pot"


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".jsonl", ".parquet"])
def test_it_reads_every_format(profiled, suffix, capsys):
    out = call(capsys, "drift", profiled, write(profiled.parent / f"a{suffix}", OTHERS), "--text", "text")
    assert out.startswith("drift in length, unknown")
    assert "unheard (50)" in out


def test_the_exit_status_says_so_if_asked(profiled, capsys):
    same, other = (write(profiled.parent / f"{name}.txt", texts) for name, texts in (("a", IN_DOMAIN), ("b", OTHERS)))
    assert call(capsys, "drift", profiled, same, "--fail").startswith("no drift: 5 texts")
    call(capsys, "drift", profiled, other)
    with pytest.raises(SystemExit) as ended:
        cli.execute(["drift", str(profiled), str(other), "--fail"])
    assert ended.value.code == 1
    call(capsys, "drift", profiled, other, "--fail", "--min-effect", "1")


def test_programs_get_json(profiled, capsys):
    found = json.loads(call(capsys, "drift", profiled, write(profiled.parent / "a.txt", OTHERS), "--json"))
    assert found["drifted"] is True
    assert found["texts"] == 50
    assert found["validation_texts"] == 200
    assert [change["trait"] for change in found["changes"]] == ["length", "unknown", "confidence", "class"]
    assert sum(found["changes"][0]["now"]) == 50


def test_the_page_shows_each_bin_and_no_text(profiled, capsys):
    html = profiled.parent / "drift.html"
    call(capsys, "drift", profiled, write(profiled.parent / "a.txt", OTHERS), "-o", html)
    text = html.read_text("utf-8")
    assert re.search('<h1 class="drift">Drift in length, unknown', text)
    assert text.count('<div class="bar now"') == text.count('<div class="bar"') > 8
    assert "unheard (50)" in text
    assert OTHERS[0] not in text
    assert "{{" not in text
    assert not re.search(r"<script|https?:|<b>", text.partition("<h2>Most")[2])


def test_a_multi_label_model_also_counts_labels(tmp_path, capsys):
    with_profile(IN_DOMAIN * 40, multi_label_student("mlp")).save(tmp_path / "a.pot")
    out = call(capsys, "drift", tmp_path / "a.pot", write(tmp_path / "a.txt", IN_DOMAIN * 10))
    assert re.search("^labels ", out, re.MULTILINE)


def test_wrong_use_is_refused(profiled, model):
    texts = write(profiled.parent / "a.txt", OTHERS)
    assert "profile: the model file has none" in refused("drift", model, texts)
    assert "--output: must be a file" in refused("drift", profiled, texts, "-o", "-")
    assert "texts: there are none" in refused("drift", profiled, write(profiled.parent / "none.txt", []))
    assert "(found: 'id', 'text')" in refused(
        "drift", profiled, write(profiled.parent / "a.csv", OTHERS), "--text", "body"
    )
    with pytest.raises(SystemExit):
        cli.execute(["drift", str(profiled), str(texts), "--alpha", "0"])
