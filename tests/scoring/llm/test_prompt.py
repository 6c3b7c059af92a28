from pathlib import Path

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.scoring.llm.params import PROMPT
from potstill.scoring.llm.prompt import Example, Examples, Prompt, codes_for, orders, read

LABELS = ["joy", "sadness"]


def prompt(source, labels=LABELS, multi_label=False, **descriptions):
    return Prompt(source, Path("mine.txt"), labels, descriptions, multi_label)


def test_the_prompt_of_potstill_has_the_labels_what_they_mean_and_the_examples():
    shown, codes = prompt(read(PROMPT), sadness="grief, too").render("so blue", [1, 0], [Example("so glad", [0])])
    assert codes == ["A", "B"]
    assert shown.splitlines() == [
        "Classify the text. The labels are:",
        "A. sadness: grief, too",
        "B. joy",
        "",
        "Answer with the letter of the label, and nothing else.",
        "",
        "Text: so glad",
        "Answer: B",
        "",
        "Text: so blue",
        "Answer:",
    ]


def test_a_text_is_not_a_template_and_examples_of_labels_that_are_not_listed_are_left_out():
    shown, _ = prompt(read(PROMPT)).render("{{ 1 + 1 }} <b>", [1], [Example("so glad", [0]), Example("so blue", [1])])
    assert "Text: {{ 1 + 1 }} <b>" in shown
    assert "so glad" not in shown
    assert "so blue" in shown


WHOLE = "{{ text }}{% for label in labels %}{{ label.code }} {{ label.name }}{% endfor %}"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (WHOLE + "\n{% if %}", r"mine\.txt, line 2: it is not a valid prompt"),
        (WHOLE + "{{ txt }}", r"mine\.txt: it is not a valid prompt .*'txt' is undefined"),
        (WHOLE + "{{ labels[0].meaning }}", "not a valid prompt"),
        (WHOLE + "{{ 1 / 0 }}", "not a valid prompt"),
        (WHOLE + "{{ text.__class__.__mro__ }}", "not a valid prompt .*unsafe"),
        (WHOLE.replace("{{ text }}", ""), "it does not use the variable `text`"),
        (WHOLE.replace("{{ label.code }}", ""), "it does not use the variable `labels.*code`"),
        (WHOLE.replace("{{ label.name }}", ""), "it does not use the variable `labels.*name`"),
    ],
)
def test_a_prompt_that_cannot_work_is_refused(source, says):
    with pytest.raises(PotstillError, match=says):
        prompt(source, ["joy", "sadness"])


def test_a_missing_prompt_is_named(tmp_path):
    with pytest.raises(PotstillError, match=r"none\.txt: no such file\. Set the preset's `llm\.prompt`"):
        read(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"\xe4")
    with pytest.raises(PotstillError, match="not UTF-8"):
        read(tmp_path / "latin.txt")


def test_codes_are_letters_or_the_names_if_these_are_characters():
    assert codes_for(["good", "bad"]) == ["A", "B"]
    assert codes_for(["5", "4", "3"]) == ["5", "4", "3"]
    many = codes_for([f"c{i}" for i in range(200)])
    assert many[25:28] == ["Z", "AA", "AB"]
    assert len(set(many)) == 200


@pytest.mark.parametrize(("labels", "number"), [(2, 2), (6, 2), (6, 6), (5, 3), (3, 1)])
def test_orders_are_different_and_a_pair_has_no_position_on_average(labels, number):
    found = orders(labels, number)
    assert all(sorted(order) == list(range(labels)) for order in found)
    assert len(set(map(tuple, found))) == number
    for one, other in zip(found[::2], found[1::2], strict=False):
        np.testing.assert_array_equal(np.argsort(one) + np.argsort(other), labels - 1)


def test_examples_are_the_most_similar_others_the_most_similar_last():
    texts = ["the cat sat", "the cat ran", "a dog barked", "the cat sat on it", "THE  cat sat"]
    examples = Examples(texts, [[0], [1], [2], [3], [4]])
    (found,) = examples.nearest(["The cat sat"], 2)
    assert [example.labels for example in found] == [[1], [3]]
    (found,) = examples.nearest(["a dog"], 1)
    assert found == [Example("a dog barked", [2])]
    assert examples.nearest(["a", "b"], 0) == [[], []]
    assert len(examples.nearest(["nothing alike"], 100)[0]) == 4  # one of them twice
