"""Look up what `measure` returned, and format it."""

from collections.abc import Mapping
from typing import Any

from potstill.advise.curve import Curve
from potstill.evaluate.word_order import recommended_architecture

EASY_ERROR = 0.03  # of TF-IDF, up to which a teacher has nothing to improve

Measured = Mapping[str, Any]  # what `measure` returns


def interval(test: Mapping[str, Any]) -> str:
    """Format a paired difference with its 95% interval."""
    low, high = (f"{100 * test[f'difference_{end}']:+.1f}".replace("-", "−") for end in ("low", "high"))
    return f"{points(test['difference'], '+')} ({low} to {high})"


def points(fraction: float, sign: str = "") -> str:
    """Format a fraction in percentage points."""
    return f"{100 * fraction:{sign}.1f} points".replace("-", "−")


def is_easy(measured: Measured) -> bool:
    """Return whether TF-IDF leaves next to no error."""
    return 1 - on_all_texts(measured, "TF-IDF", "hard")["accuracy"] <= EASY_ERROR


def teacher_learns(measured: Measured) -> bool:
    """Return whether the teacher is not significantly worse than TF-IDF; if it is, the sample is too small for it."""
    return measured["paired"]["teacher, TF-IDF"]["difference_high"] >= 0


def published_choice(measured: Measured) -> str:
    """Return what Wasserblat 2021 recommends at this word-order sensitivity; a bag if no text has an order."""
    order = measured["word_order"]
    return "bag" if order is None else recommended_architecture(order["wos"])


def second_score(measured: Measured) -> tuple[str, str]:
    """Return the key and the name of the score beside accuracy: micro-F1 in a multi-label task."""
    multi_label = "micro_f1" in measured["models"][0]
    return ("micro_f1", "micro-F1 × 100") if multi_label else ("matthews", "Matthews × 100")


def available_texts(measured: Measured) -> int:
    """Return the number of texts of the task, labelled or not."""
    return measured["rows"]["train"] + measured["rows"]["unlabelled"]


def student_with_curve(student: str) -> str:
    """Return the student of the same kind that was also trained on fractions of the texts."""
    return "bag" if student == "bag" else "bigru"


def distillation_curve(measured: Measured, student: str) -> Curve:
    """Return the learning curve of a student over the texts that the teacher labelled."""
    sizes, errors = zip(*errors_by_size(measured, student_with_curve(student), "distilled"), strict=True)
    return Curve.fit(sizes, errors, measured["rows"]["validation"])


def errors_by_size(measured: Measured, name: str, training: str) -> list[tuple[int, float]]:
    """Return pairs of a number of training texts and the error, in ascending order."""
    found = {
        m["texts"]: 1 - m["accuracy"] for m in measured["models"] if (m["name"], m["training"]) == (name, training)
    }
    return sorted(found.items())


def on_all_texts(measured: Measured, name: str, training: str) -> Mapping[str, Any]:
    """Return the row of the model that was trained on the most texts."""
    found = [m for m in measured["models"] if (m["name"], m["training"]) == (name, training)]
    return max(found, key=lambda model: model["texts"])


def two_digits(number: float) -> int:
    """Round to two significant digits."""
    return int(float(f"{number:.1e}"))
