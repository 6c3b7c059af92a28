import json

from potstill.advise import report as advice
from potstill.advise.decide import decide
from potstill.advise.report import markdown
from tests.advise.measurements import numbers
from tests.markup import RENDERER


def test_the_teacher_of_an_advice_is_shown_as_it_is():
    scores = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "matthews": 0.1}
    model = {"name": "TF-IDF", "training": "hard", "texts": 1, "parameters": 1, **scores}
    rows = {"sample": 1, "train": 1, "transfer": 1, "validation": 1}
    measured = {"rows": rows, "train_as_unlabelled": False, "teacher": "a`<b>", "models": [model], "majority": 0.5}
    assert "<code>a`&lt;b&gt;</code>" in RENDERER.render(advice.markdown(measured, []))


def test_every_statement_has_its_evidence_in_the_report():
    measured = numbers()
    measured["word_order"] = None  # texts of one word
    said = decide(measured)
    text = markdown(measured, said)
    for statement in said:
        assert f"**{statement.topic}** {statement.claim}" in text
        assert statement.evidence in text
    assert "| TF-IDF | hard | 1,500 |" in text
    json.dumps(measured)
