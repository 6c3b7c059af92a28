"""The keys that the sections `baseline` and `student` share: a small network and its training."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from potstill.params.section import Section, Seed
from potstill.runtime.file import LONGEST, MAX_LENGTH, WIDEST, WORDS

Architecture = Literal["mlp", "attention", "cnn", "bigru", "bilstm"]


class NetworkParams(Section):
    """A small network and its training; `params.yaml` documents each key."""

    architecture: Architecture
    vocab_size: int = Field(ge=2, le=WORDS)
    embedding_rows: int | None = Field(ge=2, le=WORDS)
    informative_share: float = Field(ge=0, le=1)
    max_ngram: int = Field(ge=1, le=LONGEST)
    embedding_dim: int = Field(ge=1, le=WIDEST)
    hidden: int = Field(ge=1, le=WIDEST)
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
