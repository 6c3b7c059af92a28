"""The search space: students of every architecture and width, with as many words as the budget has room for."""

import math
from dataclasses import dataclass
from typing import Any

import optuna

from potstill.runtime.networks import Shape
from potstill.search.results import Unit
from potstill.student.params import StudentParams
from potstill.student.quantization import bits_of
from potstill.student.vocabulary import layout

# The size of a file: a Rice-coded gap takes about 1.5 bits more than the logarithm of the mean gap.
RICE_BITS = 1.5
STRING_BITS = 26.0  # of a word in a sorted, deflated list
FIXED_BYTES = 30  # header, checksum, quantization steps

MIN_WORDS = 8
ARCHITECTURES = ("bigru", "cnn", "attention", "mlp")
EMBEDDED = ("bigru", "cnn")  # those whose embedding has a width of its own
LAYOUT = {"architecture", "vocab_size", "embedding_rows", "embedding_dim", "hidden", "max_ngram"}
SEARCHED = LAYOUT | {"weight_bits", "fingerprint_bits", "informative_share", "learning_rate", "dropout"}

# Tried first: recurrent students, which are best where word order matters, and a convolution, which is faster.
_COMMON = {"informative_share": 0.9, "learning_rate": 0.01, "dropout": 0.0, "weight_bits": 3, "fingerprint_bits": 4}
_GRU = {"architecture": "bigru", **_COMMON}
_CNN = {"architecture": "cnn", **_COMMON}
INITIAL_TRIALS = (
    {**_GRU, "hidden": 8, "embedding_dim": 3, "words_per_row": 1.0, "budget_share": 1.0},
    {**_GRU, "hidden": 6, "embedding_dim": 3, "words_per_row": 2.0, "budget_share": 0.5},
    {**_GRU, "hidden": 4, "embedding_dim": 2, "words_per_row": 2.0, "budget_share": 0.25},
    {**_CNN, "hidden": 16, "embedding_dim": 4, "words_per_row": 1.0, "budget_share": 1.0},
)


@dataclass(frozen=True)
class SearchSpace:
    """What a search draws from.

    Attributes:
        base: the parameters that are not searched.
        classes: the number of classes.
        budget: the largest size of a student.
        unit: the unit of the budget.
    """

    base: StudentParams
    classes: int
    budget: int
    unit: Unit

    def suggest(self, trial: optuna.Trial) -> StudentParams | None:
        """Draw a student that fills a share of the budget; None if none fits with the widths drawn."""
        architecture = trial.suggest_categorical("architecture", ARCHITECTURES)
        available = trial.suggest_float("budget_share", 0.1, 1.0, log=True) * self.budget
        drawn: dict[str, Any] = {"architecture": architecture, "max_ngram": 1, "embedding_dim": 1, "hidden": 2}
        if self.unit == "bytes":
            drawn["weight_bits"] = trial.suggest_int("weight_bits", 2, 5)
            drawn["fingerprint_bits"] = trial.suggest_int("fingerprint_bits", 3, 6)
        # Half of the size is left for words, or a fifth once the width of the embedding is drawn too.
        widest = self._widest(drawn, "hidden", 64, 0.5 * available)
        drawn["hidden"] = trial.suggest_int("hidden", 2, widest, log=True)
        if architecture in EMBEDDED:
            widest = self._widest(drawn, "embedding_dim", 16, 0.8 * available)
            drawn["embedding_dim"] = trial.suggest_int("embedding_dim", 1, widest, log=True)
        if architecture == "mlp":
            drawn["max_ngram"] = trial.suggest_int("max_ngram", 1, 3)
        words_per_row = trial.suggest_float("words_per_row", 1.0, 4.0, step=0.25)
        drawn["informative_share"] = round(trial.suggest_float("informative_share", 0.5, 1.0, step=0.05), 2)
        drawn["learning_rate"] = round(trial.suggest_float("learning_rate", 0.002, 0.03, log=True), 4)
        drawn["dropout"] = round(trial.suggest_float("dropout", 0.0, 0.3, step=0.05), 2)
        params = self.base.model_copy(update=drawn)
        return fit_vocab_size(params, self.classes, available, self.unit, words_per_row)

    def _widest(self, drawn: dict[str, Any], key: str, limit: int, size: float) -> int:
        """Return the largest width up to `limit` with which a student of this size is possible, at least 2."""
        for width in range(limit, 2, -1):
            if fit_vocab_size(self.base.model_copy(update=drawn | {key: width}), self.classes, size, self.unit):
                return width
        return 2


def searched(params: StudentParams) -> dict[str, Any]:
    """Return the parameters of a student that are searched."""
    return params.model_dump(include=SEARCHED - (set() if params.architecture in EMBEDDED else {"embedding_dim"}))


def expected_size(params: StudentParams, classes: int, unit: Unit) -> float:
    """Return the size of a student before training: the exact number of weights, or about the bytes of its file."""
    shape = Shape(params.architecture, params.embedding_dim, params.hidden)
    rows = params.embedding_rows or params.vocab_size
    weights = {name: math.prod(size) for name, size in shape.weights(rows, classes).items()}
    if unit == "parameters":
        return sum(weights.values())
    bits = sum(
        count * (bits_of(name, params.weight_bits) if params.weight_bits else 32) for name, count in weights.items()
    )
    buckets, word = 0, STRING_BITS
    if params.fingerprint_bits is not None:
        buckets, width = layout(params.vocab_size - 1, params.fingerprint_bits)
        word = math.log2(2**width / (params.vocab_size - 1)) + RICE_BITS
    word += math.log2(rows) if params.embedding_rows else 0
    return FIXED_BYTES + 10 * classes + buckets + (bits + params.vocab_size * word) / 8


def fit_vocab_size(
    params: StudentParams, classes: int, budget: float, unit: Unit, words_per_row: float = 1.0
) -> StudentParams | None:
    """Return a student with as many words as its budget has room for; None if there is room for fewer than 8.

    Args:
        params: the student; its `vocab_size` and `embedding_rows` are replaced.
        classes: the number of classes.
        budget: the largest size.
        unit: the unit of the budget.
        words_per_row: how many words share a row of the embedding, on average; 1 for a row each.
    """
    low, high = MIN_WORDS, max(MIN_WORDS, 8 * int(budget))  # a word takes a bit or more
    if expected_size(_with_words(params, low, words_per_row), classes, unit) > budget:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if expected_size(_with_words(params, middle, words_per_row), classes, unit) <= budget:
            low = middle
        else:
            high = middle - 1
    return _with_words(params, low, words_per_row)


def _with_words(params: StudentParams, words: int, words_per_row: float) -> StudentParams:
    rows = round(words / words_per_row) if words_per_row > 1 else None
    return params.model_copy(update={"vocab_size": words, "embedding_rows": rows})
