"""The model card."""

import dataclasses

import pytest
from huggingface_hub import ModelCard

from potstill.evaluate.metrics import scores
from potstill.export.card import card
from potstill.export.facts import collect
from potstill.student.distil import distil
from tests.command import call
from tests.export.sources import SOURCES
from tests.markup import RENDERER
from tests.settings import mixed_logits, student_settings


@pytest.mark.slow
def test_the_hub_can_read_the_card(exported):
    found = ModelCard(card(exported, SOURCES, 1234, 5678))
    assert found.data.pipeline_tag == "text-classification"
    [accuracy] = [result for result in found.data.eval_results if result.metric_type == "accuracy"]
    assert accuracy.metric_value == exported.facts["metrics"]["test"]["accuracy"]
    assert "1,234 bytes" in found.text
    assert "minilm (test accuracy 95.00%) and table (without predictions for some test texts)." in found.text


def test_the_card_says_if_scores_are_against_the_teacher_and_gives_the_hub_none(exported):
    facts = exported.facts | {
        "labelled_by_teacher": ["validation", "test"],
        "teachers": {},
        "untested_teachers": ["llm"],
    }
    found = ModelCard(card(dataclasses.replace(exported, facts=facts), SOURCES, 1, 1))
    assert not found.data.eval_results
    assert "| agreement with its teacher | " in found.text
    assert "from llm." in found.text
    assert "nobody has labelled the texts: how often they are right is unknown" in found.text.replace("\n", " ")
    known = ModelCard(
        card(dataclasses.replace(exported, facts=facts | {"labelled_by_teacher": ["validation"]}), SOURCES, 1, 1)
    )
    assert known.data.eval_results
    assert "| accuracy | " in known.text


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (SOURCES, "240 labelled and 100 unlabelled texts, 300 variants of them, and 200 samples of an n-gram model"),
        ({"train": 1500}, "1,500 labelled texts"),
        ({"unlabelled": 8000, "replace": 2000}, "8,000 unlabelled texts, and 2,000 variants of them"),
        ({"generated": 9}, "9 samples of an n-gram model"),
        ({"borrow": 1, "drop": 2, "splice": 3}, "6 variants of its texts"),
        ({"train": 5, "generated": 9}, "5 labelled texts, and 9 samples of an n-gram model"),
    ],
)
def test_the_card_describes_the_training_data(exported, sources, says):
    assert f"| training data | {says} |" in card(exported, sources, 1, 1)


def test_the_card_says_how_words_outside_the_vocabulary_are_read(exported):
    text = card(exported, SOURCES, 1, 1)
    assert "input: text;" in text
    assert "All words outside the vocabulary share one embedding." in text
    split = dataclasses.replace(exported, vocabulary=dataclasses.replace(exported.vocabulary, subwords=True))
    text = card(split, SOURCES, 1, 1)
    assert "input: ids of embedding rows, as `vocabulary.encode` gives them;" in text
    assert f"vocabulary of {len(split.vocabulary.entries)} words and pieces of words |" in text
    assert "Words outside the vocabulary are split into pieces;" in text


def test_the_card_shows_labels_as_they_are_and_not_all_of_many(exported):
    names = ["@a closes #1", "<b>`x`|[y](https://z)", *(f"class {i}" for i in range(998))]
    facts = exported.facts | {"teachers": {"<i>": 0.5}}
    text = card(dataclasses.replace(exported, labels=names, facts=facts), SOURCES, 1, 1)
    html = RENDERER.render(ModelCard(text).text)
    assert (
        "It assigns each text one of 1,000 classes: <code>@a closes #1</code>, <code>&lt;b&gt;`x`</code>|<code>[y]("
        in html
    )
    assert "<code>class 47</code> and 950 others" in html
    assert "from <code>&lt;i&gt;</code> (test accuracy 50.00%)" in html


def test_the_card_of_a_multi_label_student_has_its_scores(mixed, capsys, tmp_path):
    params = student_settings(architecture="mlp", fingerprint_bits=None, learning_rate=0.05)
    made = distil(mixed.labels, mixed.train["text"].tolist(), mixed_logits(mixed), mixed.validation, params).student
    made = dataclasses.replace(made, facts=collect(made, None, mixed, {}, {}, {"minilm": 0.9}, params))
    tested = made.facts["metrics"]["test"]
    assert tested == scores.scores(
        mixed.targets("test"), made.predict_proba(mixed.test["text"]), thresholds=made.thresholds
    )
    found = ModelCard(card(made, {"train": 300}, 1234, 5678))
    assert "multi-label-classification" in found.data.tags
    assert {result.metric_type for result in found.data.eval_results} == {"accuracy", "f1"}
    assert "It assigns each text any of 3 classes" in found.text
    assert f"| exact match | {tested['accuracy']:.2%}" in found.text
    made.save(tmp_path / "a.pot")
    assert "of 80 correct in all labels" in call(capsys, "inspect", tmp_path / "a.pot")
