"""The `student` section, and what `baseline` shares with it: a small network and its training."""

from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from potstill.core.params import Section, Seed
from potstill.data.sources import Source
from potstill.runtime.file import MAX_LENGTH, MAX_NGRAM, MAX_WIDTH, MAX_WORDS

Architecture = Literal["mlp", "attention", "cnn", "bigru"]


class NetworkParams(Section):
    """A small network and its training; `params.yaml` documents each key."""

    architecture: Architecture
    vocab_size: int = Field(ge=2, le=MAX_WORDS)
    embedding_rows: int | None = Field(ge=2, le=MAX_WORDS)
    informative_share: float = Field(ge=0, le=1)
    max_ngram: int = Field(ge=1, le=MAX_NGRAM)
    embedding_dim: int = Field(ge=1, le=MAX_WIDTH)
    hidden: int = Field(ge=1, le=MAX_WIDTH)
    weight_bits: int | None = Field(ge=2, le=8)
    fingerprint_bits: int | None = Field(ge=1, le=16)
    max_length: int = Field(ge=1, le=MAX_LENGTH)
    metric: Literal["accuracy", "macro_f1"]
    dropout: float = Field(ge=0, lt=1)
    word_dropout: float = Field(ge=0, lt=1)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0, le=1)
    weight_decay: float = Field(ge=0)
    threads: int = Field(ge=0)
    seed: Seed

    @field_validator("max_ngram")
    @classmethod
    def _only_mlp_has_ngrams(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("architecture", "mlp") != "mlp":
            raise ValueError("must be 1 unless architecture is mlp, as the others model word order themselves")
        return value


class StudentParams(NetworkParams):
    """The student and its loss; `params.yaml` documents each key."""

    section: ClassVar[str] = "student"

    sources: list[Source] | None = Field(min_length=1)
    loss: Literal["kl", "mse"]
    temperature: float = Field(gt=0)
