"""The `student` section: the ladder of candidates, and the settings of one student."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from potstill.core.params import Keys, Section, Seed
from potstill.data.sources import Source
from potstill.runtime.file import FLOAT, MAX_LENGTH, MAX_NGRAM, MAX_WIDTH, MAX_WORDS

Architecture = Literal["mlp", "attention", "cnn", "bigru"]
Kind = Literal["table", "subwords", "transformer"]

PARAMS = "params.json"  # in the folder of the student: all its settings
AUTO = "auto"  # the rung is found
BY_HAND = "by hand"  # the name of a student that is set in the section


class NetworkParams(Section):
    """A small network over words and its training; `params.yaml` documents each key.

    The defaults are those of `baseline`, for a few thousand labels; a rung of the ladder sets all keys.
    """

    architecture: Architecture = "bigru"
    vocab_size: int = Field(1150, ge=2, le=MAX_WORDS)
    embedding_rows: int | None = Field(None, ge=2, le=MAX_WORDS)
    informative_share: float = Field(0.85, ge=0, le=1)
    max_ngram: int = Field(1, ge=1, le=MAX_NGRAM)
    embedding_dim: int = Field(3, ge=1, le=MAX_WIDTH)
    hidden: int = Field(8, ge=1, le=MAX_WIDTH)
    weight_bits: int | None = Field(3, ge=2, le=8)
    fingerprint_bits: int | None = Field(None, ge=1, le=16)
    max_length: int | None = Field(None, ge=1, le=MAX_LENGTH)
    metric: Literal["accuracy", "macro_f1"] = "accuracy"
    dropout: float = Field(0.2, ge=0, lt=1)
    word_dropout: float = Field(0.0, ge=0, lt=1)
    epochs: int = Field(40, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(0.02, gt=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    threads: int = Field(1, ge=0)
    seed: Seed = 0

    @field_validator("max_ngram")
    @classmethod
    def _only_mlp_has_ngrams(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("architecture", "mlp") != "mlp":
            raise ValueError("must be 1 unless architecture is mlp, as the others model word order themselves")
        return value


class DistilParams(NetworkParams):
    """All settings of one student, of any kind."""

    section: ClassVar[str] = "student"

    architecture: Literal["mlp", "attention", "cnn", "bigru", "transformer"]  # type: ignore[assignment]
    subwords: bool
    layers: int = Field(ge=0)
    exclude_identifiers: bool
    sources: tuple[Source, ...] | None
    loss: Literal["kl", "mse"]
    temperature: float = Field(gt=0)

    @property
    def kind(self) -> Kind:
        """What the student is made of."""
        if self.architecture == "transformer":
            return "transformer"
        return "subwords" if self.subwords else "table"


class Rung(Keys):
    """Settings that differ between students; `params.yaml` documents each key. None stands for the default."""

    architecture: Literal["mlp", "attention", "cnn", "bigru", "transformer"] | None = None
    subwords: bool | None = None
    layers: int | None = Field(default=None, ge=0)
    vocab_size: int | None = Field(default=None, ge=2, le=MAX_WORDS)
    embedding_rows: int | None = Field(default=None, ge=2, le=MAX_WORDS)
    informative_share: float | None = Field(default=None, ge=0, le=1)
    max_ngram: int | None = Field(default=None, ge=1, le=MAX_NGRAM)
    embedding_dim: int | None = Field(default=None, ge=1, le=MAX_WIDTH)
    hidden: int | None = Field(default=None, ge=1, le=MAX_WIDTH)
    weight_bits: int | None = Field(default=None, ge=2, le=FLOAT)
    fingerprint_bits: int | None = Field(default=None, ge=0, le=16)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    word_dropout: float | None = Field(default=None, ge=0, lt=1)
    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    weight_decay: float | None = Field(default=None, ge=0)

    @field_validator("weight_bits")
    @classmethod
    def _bits_fit_a_byte(cls, value: int | None) -> int | None:
        if value is not None and 8 < value < FLOAT:
            raise ValueError(f"must be 2 to 8, or {FLOAT} for floats")
        return value

    @property
    def settings(self) -> dict[str, Any]:
        """The keys that have a value."""
        return {key: value for key in Rung.model_fields if (value := getattr(self, key)) is not None}


# What a student has unless its rung says otherwise, by kind.
_TABLE: dict[str, Any] = {
    "architecture": "bigru",
    "subwords": False,
    "layers": 4,
    "vocab_size": 1150,
    "embedding_rows": None,
    "informative_share": 0.85,
    "max_ngram": 1,
    "embedding_dim": 3,
    "hidden": 8,
    "weight_bits": 3,
    "fingerprint_bits": 0,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "epochs": 10,
    "batch_size": 128,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
}
_SUBWORDS = _TABLE | {
    "subwords": True,
    "vocab_size": 8000,
    "informative_share": 0.5,
    "embedding_dim": 64,
    "hidden": 32,
    "weight_bits": 4,
    "dropout": 0.2,
    "batch_size": 64,
    "learning_rate": 0.005,
}
_TRANSFORMER = _TABLE | {
    "architecture": "transformer",
    "vocab_size": 32000,
    "weight_bits": 7,
    "dropout": 0.1,
    "epochs": 1,
    "batch_size": 32,
    "learning_rate": 2e-4,
    "weight_decay": 0.01,
}


# The candidates, in ascending order of size; `params.yaml` describes them.
LADDER = {
    "qr": Rung(vocab_size=940, embedding_dim=4, hidden=10, informative_share=0.9, fingerprint_bits=4, batch_size=256),
    "small": Rung(vocab_size=3000, embedding_dim=6, hidden=16, weight_bits=4, fingerprint_bits=8),
    "medium": Rung(subwords=True, vocab_size=4000, embedding_dim=32, hidden=32, fingerprint_bits=12),
    "large": Rung(subwords=True, vocab_size=12000, embedding_dim=64, hidden=64, word_dropout=0.15, epochs=6),
    "transformer": Rung(architecture="transformer", layers=4),
    "quantized": Rung(architecture="transformer", layers=0),
}


class StudentParams(Rung, Section):
    """The ladder, what is set by hand, and what all students share; `params.yaml` documents each key."""

    section: ClassVar[str] = "student"

    rung: str = AUTO
    ladder: dict[str, Rung] = Field(LADDER, min_length=1)
    tolerance: float = Field(0.005, ge=0, le=1)
    max_disagreement: float = Field(0.04, ge=0, le=1)
    max_length: int | None = Field(None, ge=1, le=MAX_LENGTH)
    exclude_identifiers: bool = False
    metric: Literal["accuracy", "macro_f1"] = "accuracy"
    sources: list[Source] | None = Field(None, min_length=1)
    loss: Literal["kl", "mse"] = "kl"
    temperature: float = Field(1.0, gt=0)
    threads: int = Field(0, ge=0)
    seed: Seed = 0

    @model_validator(mode="after")
    def _candidates_are_valid(self) -> "StudentParams":
        if AUTO in self.ladder or BY_HAND in self.ladder:
            raise ValueError(f"a rung of ladder cannot be named `{AUTO}` or `{BY_HAND}`: rename it")
        if self.rung not in (AUTO, *self.ladder):
            raise ValueError(
                f"`{self.rung}` in rung is not a key of student.ladder (found: {', '.join(self.ladder)}), nor {AUTO}"
            )
        self.rungs()
        self.candidates()
        return self

    def rungs(self) -> dict[str, DistilParams]:
        """Return all rungs by name, in ascending order of size, without what is set by hand."""
        return {name: self._resolve(name, rung.settings) for name, rung in self.ladder.items()}

    def candidates(self) -> dict[str, DistilParams]:
        """Return the students to try, by the names of their rungs, in ascending order of size.

        All rungs of the ladder; or the one that `rung` names, with the values of the keys of `Rung` that are set by
        hand; or, once one of these is set, one student with these values, and with the defaults of its kind for the
        others.
        """
        if self.rung != AUTO:
            return {self.rung: self._resolve(self.rung, self.ladder[self.rung].settings | self.settings)}
        if self.settings:
            return {BY_HAND: self._resolve(BY_HAND, self.settings)}
        return self.rungs()

    @property
    def smallest(self) -> tuple[str, DistilParams]:
        """The name and the settings of the first rung over words, as the ladder has it, but with epochs set by hand."""
        tables = [(name, rung) for name, rung in self.rungs().items() if rung.kind == "table"]
        name, rung = tables[0] if tables else (BY_HAND, self._resolve(BY_HAND, {}))
        return name, rung.model_copy(update={"epochs": self.epochs or rung.epochs})

    def _resolve(self, name: str, settings: Mapping[str, Any]) -> DistilParams:
        """Return all settings of a student, given those that differ from the defaults of its kind.

        Raises:
            ValueError: they contradict each other.
        """
        where = "" if name == BY_HAND else f"rung `{name}`: "
        defaults = _SUBWORDS if settings.get("subwords") else _TABLE
        if settings.get("architecture") == "transformer":
            defaults = _TRANSFORMER
        values = {**defaults, **settings}
        if values["max_ngram"] > 1 and (values["architecture"] != "mlp" or values["subwords"]):
            raise ValueError(f"{where}max_ngram must be 1 unless architecture is mlp and subwords is false")
        if values["architecture"] == "transformer" and values["subwords"]:
            raise ValueError(f"{where}subwords must be false with architecture transformer, which has its own")
        if values["embedding_rows"] and values["subwords"]:
            raise ValueError(f"{where}embedding_rows must be null with subwords, each of which has a row of its own")
        values["weight_bits"] = None if values["weight_bits"] == FLOAT else values["weight_bits"]
        values["fingerprint_bits"] = values["fingerprint_bits"] or None
        shared = {key: getattr(self, key) for key in DistilParams.model_fields if key not in Rung.model_fields}
        return DistilParams(**values, **shared)
