"""What a measurement says, looked up and put into words."""

from collections.abc import Mapping
from typing import Any

from potstill.advise.curve import Curve
from potstill.evaluate.traits import family

EASY = 0.03  # error of TF-IDF that leaves nothing worth a teacher

Measured = Mapping[str, Any]  # what `measure` gives


def span(test: Mapping[str, Any]) -> str:
    """A paired difference with its interval."""
    low, high = (f"{100 * test[f'difference_{end}']:+.1f}".replace("-", "−") for end in ("low", "high"))
    return f"{points(test['difference'], '+')} ({low} to {high})"


def points(fraction: float, sign: str = "") -> str:
    """A share as points."""
    return f"{100 * fraction:{sign}.1f} points".replace("-", "−")


def easy(measured: Measured) -> bool:
    """Whether TF-IDF leaves next to no error."""
    return 1 - on_all(measured, "TF-IDF", "hard")["accuracy"] <= EASY


def learns(measured: Measured) -> bool:
    """Whether the teacher is not surely worse than TF-IDF, that is, whether it says anything of the task."""
    return measured["paired"]["teacher, TF-IDF"]["difference_high"] >= 0


def prior_of(measured: Measured) -> str:
    """What the article would take at this word-order sensitivity; a bag if no text has an order."""
    order = measured["order"]
    return "bag" if order is None else family(order["wos"])


def second_score(measured: Measured) -> tuple[str, str]:
    """The key and the name of the score beside accuracy: micro-F1 where a text may have several labels."""
    several = "micro_f1" in measured["models"][0]
    return ("micro_f1", "micro-F1 × 100") if several else ("matthews", "Matthews × 100")


def available_texts(measured: Measured) -> int:
    """How many texts there are, with labels or without."""
    return measured["rows"]["train"] + measured["rows"]["unlabelled"]


def with_curve(student: str) -> str:
    """The student of this kind that was trained on parts of the pool too."""
    return "bag" if student == "bag" else "bigru"


def pool_curve(measured: Measured, student: str) -> Curve:
    """Its learning curve over the texts that the teacher labelled."""
    sizes, errors = zip(*learning_curve(measured, with_curve(student), "distilled"), strict=True)
    return Curve.fit(sizes, errors, measured["rows"]["validation"])


def learning_curve(measured: Measured, name: str, training: str) -> list[tuple[int, float]]:
    """Numbers of texts with the errors that they left."""
    found = {
        m["texts"]: 1 - m["accuracy"] for m in measured["models"] if (m["name"], m["training"]) == (name, training)
    }
    return sorted(found.items())


def on_all(measured: Measured, name: str, training: str) -> Mapping[str, Any]:
    """The one that was trained on the most texts."""
    found = [m for m in measured["models"] if (m["name"], m["training"]) == (name, training)]
    return max(found, key=lambda model: model["texts"])


def rounded(number: float) -> int:
    """Two significant digits."""
    return int(float(f"{number:.1e}"))
