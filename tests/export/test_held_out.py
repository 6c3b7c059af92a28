"""What is measured on unlabelled texts that no student learned from, and what is said of it."""

import dataclasses

import numpy as np

from potstill.data.dataset import NO_LABEL
from potstill.evaluate import agreement
from potstill.export import held_out
from potstill.export.held_out import measure
from tests.students import multi_label_student
from tests.tasks import make_texts


def test_agreement_is_counted_and_texts_of_another_kind_are_noticed(exported, data):
    def answered(texts, wrong=0):
        teacher = exported.predict_proba(texts).argmax(1)
        teacher[:wrong] = (teacher[:wrong] + 1) % 3
        return texts, teacher

    texts, validation = make_texts(300, 7)["text"].tolist(), answered(data.validation["text"].tolist(), 5)
    found = measure(exported, answered(texts, 30), validation)
    assert found == {"texts": 300, "agree": 270, "differs_in": ""}
    assert agreement.held_out(found) == (
        "The student predicts its teacher's label for 90.0% of 300 held-out unlabelled texts, which it did not learn "
        "from (95% CI 86.1 to 92.9%): how faithful it is, not how accurate"
    )
    assert measure(exported, answered(texts, 150), validation)["differs_in"] == "agreement"
    long = measure(exported, answered([f"{text} {text}" for text in texts], 30), validation)
    assert "length" in long["differs_in"]
    assert "They differ from the validation texts (length" in agreement.held_out(long)
    assert measure(exported, ([], np.empty(0, int)), validation) == {"texts": 0, "agree": 0, "differs_in": ""}
    assert measure(exported, answered(texts), ([], np.empty(0, int)))["differs_in"] == ""  # nothing to compare with


def test_few_validation_texts_and_self_training_rule_them_out(data, monkeypatch):
    found = {"texts": 300, "agree": 270, "differs_in": ""}
    monkeypatch.setattr(held_out, "FEWEST", len(data.validation))
    assert held_out.are_alike(found, data)
    assert not held_out.are_alike(found | {"differs_in": "length"}, data)
    assert not held_out.are_alike(found, dataclasses.replace(data, train=data.train.assign(label=NO_LABEL)))
    monkeypatch.setattr(held_out, "FEWEST", len(data.validation) + 1)
    assert not held_out.are_alike(found, data)


def test_of_several_labels_all_have_to_agree(mixed):
    made = multi_label_student("mlp")
    parts = []
    for texts in (mixed.test["text"].tolist(), mixed.validation["text"].tolist()):
        teacher = made.predict_proba(texts) >= np.float32(made.thresholds)
        teacher[0, 0] ^= True
        parts.append((texts, teacher))
    assert measure(made, *parts) == {"texts": 80, "agree": 79, "differs_in": ""}
