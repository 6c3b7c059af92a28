"""What is measured on unlabelled texts that no student learned from, and what is said of it."""

import dataclasses

import numpy as np

from potstill.evaluate import agreement
from potstill.export.held_out import measure
from tests.students import student
from tests.tasks import make_texts


def test_agreement_is_counted_and_texts_of_another_kind_are_noticed(exported, data):
    texts, validation = make_texts(300, 7)["text"].tolist(), data.validation["text"].tolist()
    teacher = exported.predict_proba(texts).argmax(1)
    teacher[:30] = (teacher[:30] + 1) % 3
    found = measure(exported, texts, teacher, validation)
    assert found == {"texts": 300, "agree": 270, "differs_in": ""}
    assert agreement.held_out(found) == (
        "The student predicts its teacher's label for 90.0% of 300 held-out unlabelled texts, which it did not learn "
        "from (95% CI 86.1 to 92.9%): how faithful it is, not how accurate"
    )
    long = measure(exported, [f"{text} {text}" for text in texts], teacher, validation)
    assert "length" in long["differs_in"]
    assert "They differ from the validation texts (length" in agreement.held_out(long)
    assert measure(exported, [], np.empty(0, int), validation) == {"texts": 0, "agree": 0, "differs_in": ""}


def test_of_several_labels_all_have_to_agree(mixed):
    made = dataclasses.replace(student("mlp"), thresholds=[0.3, 0.4, 0.3])
    texts = mixed.test["text"].tolist()
    teacher = made.predict_proba(texts) >= np.float32(made.thresholds)
    teacher[0, 0] ^= True
    found = measure(made, texts, teacher, mixed.validation["text"].tolist())
    assert (found["texts"], found["agree"]) == (len(texts), len(texts) - 1)
