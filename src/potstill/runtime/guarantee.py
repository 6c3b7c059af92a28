"""The guarantee in a model file: how good its answers are, and which texts it answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

from potstill.core.errors import PotstillError

FACT = "guarantee"  # its key among the facts of a model file
Kind = Literal["accuracy", "agreement"]


@dataclass(frozen=True)
class Guarantee:
    """A promise on the texts that a student answers; it abstains from the others.

    Attributes:
        kind: `accuracy`: its answers are right; `agreement`: they are those of its teacher.
        target: the least share of answers that are, between 0 and 1.
        confidence: with which the promise is made, between 0 and 1.
        per_class: whether it is made for the answers of each class, of all at once, rather than for all answers.
        thresholds: by class, the least probability with which a text is answered; None for a class that is never
            answered.
        rows: the number of texts on which the thresholds were chosen.
        answered: the share of these that is answered.
        test: what the thresholds lead to on the test split: `rows`, the share `answered`, and the share `kept` of the
            answers that are as promised (None without answers); None without a test split.
    """

    kind: Kind
    target: float
    confidence: float
    per_class: bool
    thresholds: Sequence[float | None]
    rows: int
    answered: float
    test: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self | None:
        """Return the guarantee among the checked facts of a model file; None if there is none."""
        return cls(**facts[FACT]) if FACT in facts else None

    @classmethod
    def required(cls, facts: Mapping[str, Any], asked: str) -> Self:
        """Return the guarantee among the checked facts of a model file, for the user's wish `asked` to abstain.

        Raises:
            PotstillError: there is none.
        """
        if found := cls.of(facts):
            return found
        raise PotstillError(f"{asked}: the model has no guarantee. Leave it out, or set export.guarantee and export.")

    def to_fact(self) -> dict[str, Any]:
        """Return the guarantee as it is among the facts."""
        return asdict(self) if self.test else {key: value for key, value in asdict(self).items() if key != "test"}

    @property
    def limits(self) -> np.ndarray:
        """The thresholds, float32 (classes,); infinite for a class that is never answered."""
        return np.array([math.inf if limit is None else limit for limit in self.thresholds], np.float32)

    def answers(self, probabilities: np.ndarray) -> np.ndarray:
        """Return whether each text is answered, booleans (texts,), given float32 probabilities (texts, classes)."""
        return probabilities.max(1) >= self.limits[probabilities.argmax(1)]

    @property
    def least(self) -> int:
        """The fewest texts that could show what is promised: so many answers, all as promised."""
        return least(self.target, self.confidence, len(self.thresholds) if self.per_class else 1)

    def __str__(self) -> str:
        """Say in one sentence what is promised, or that nothing could be."""
        wanted = "is right" if self.kind == "accuracy" else "agrees with its teacher"
        share, confidence = f"{_percent(self.target)}%", f"{_percent(self.confidence)}% confidence"
        if not any(limit is not None for limit in self.thresholds):
            of = " of each class" if self.per_class else ""
            few = f" (at least {self.least:,} texts are needed)" if self.rows < self.least else ""
            return (
                f"No guarantee: on {self.rows:,} texts, no threshold on its confidence shows with {confidence} that it "
                f"{wanted} on at least {share} of its answers{of}{few}."
            )
        answered = self.test["answered"] if self.test else self.answered
        those = "those of each class it answers," if self.per_class else "those"
        return (
            f"Answers {_percent(answered, 0)}% of texts; on {those} it {wanted} on at least {share}, with {confidence}."
        )

    def checked(self) -> str:
        """Say on how many texts it was chosen, and what the test split shows, if it has one; empty without answers."""
        if not any(limit is not None for limit in self.thresholds):
            return ""
        chosen = f"Chosen on {self.rows:,} texts."
        if not self.test or self.test["kept"] is None:
            return chosen
        done = "right" if self.kind == "accuracy" else "its teacher's"
        kept = _percent(self.test["kept"], 2)
        return f"{chosen} On {self.test['rows']:,} test texts, {kept}% of its answers are {done}."


def level(confidence: float, promises: int) -> float:
    """Return the level of a test, which each of several promises has to pass for all to hold at once (Bonferroni).

    It is half of what the confidence allows. The other half is for a student that was chosen on the same texts:
    `benchmarks/trust/guarantee.py` measures that this suffices.
    """
    return (1 - confidence) / 2 / promises


def least(target: float, confidence: float, promises: int) -> int:
    """Return the fewest answers that show a target, if all are as promised, for each of several promises at once."""
    return math.ceil(round(math.log(level(confidence, promises)) / math.log(target), 9))


def _percent(share: float, digits: int = 4) -> str:
    """Return a share in percent with at most so many decimals."""
    return f"{100 * share:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{100 * share:.0f}"
