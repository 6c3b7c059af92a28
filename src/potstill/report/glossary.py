"""Terms of the page that not everybody knows, with what they mean."""

import re

from markupsafe import Markup, escape

TERMS = {
    "student": "The small model that was trained here, on the predictions of the teacher. It is what ships.",
    "teacher": "The large model that labelled the texts from which the student learned. It is accurate but slow.",
    "TF-IDF": "A simple classifier of words, weighted by how rare they are. A student has to be better.",
    "95% CI": "95% confidence interval: where the true value probably lies. More test texts make it narrower.",
    "transfer set": "All texts that the teacher labelled for the student to learn from, labelled by people or not.",
    "macro-F1": "Mean over the classes of F1, which combines recall and precision. Rare classes count like others.",
    "calibration error": "How far confidence is from accuracy. At 0, of the texts predicted with 80%, 80% are correct.",
    "recall": "Of the texts that belong to a class, the share that the student finds.",
    "precision": "Of the texts that the student assigns to a class, the share that belongs to it.",
}
_TERM = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(TERMS, key=len, reverse=True)))})(?![\w-])")


def explain(text: str) -> Markup:
    """Return a text in HTML, in which the first occurrence of each term shows its meaning on hover and focus."""
    seen = set()

    def mark(match: re.Match[str]) -> str:
        if match[1] in seen:
            return match[1]
        seen.add(match[1])
        return f'<dfn tabindex="0" data-tip="{escape(TERMS[match[1]])}">{match[1]}</dfn>'

    # Escaped first: what the pattern finds has no character that is escaped.
    return Markup(_TERM.sub(mark, str(escape(text))))
