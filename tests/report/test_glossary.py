"""Terms that the page explains."""

from potstill.report.glossary import TERMS, explain


def test_the_first_occurrence_of_a_term_is_marked():
    html = explain("teachers and a teacher, the teacher")
    assert html.startswith('teachers and a <dfn tabindex="0" data-tip="The large model')
    assert html.endswith(">teacher</dfn>, the teacher")
    assert explain("macro-F1, % (95% CI −1 to +1)").count("<dfn") == 2
    assert "<dfn" not in explain("a non-teacher")


def test_the_text_around_a_term_is_not_markup():
    assert explain("<b>recall & more").startswith("&lt;b&gt;<dfn ")
    assert all(explain(term).count("<dfn") == 1 for term in TERMS)
