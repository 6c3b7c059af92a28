"""The `pool` section."""

from typing import ClassVar

from pydantic import Field

from potstill.core.params import Section, Seed


class PoolParams(Section):
    """The texts of the transfer set; `params.yaml` documents each key."""

    section: ClassVar[str] = "pool"

    train: bool
    unlabelled: int | None = Field(ge=0)
    replace: float = Field(ge=0)
    replace_rate: float = Field(gt=0, lt=1)
    borrow: float = Field(ge=0)
    vocab_checkpoint: str
    drop: float = Field(ge=0)
    drop_rate: float = Field(gt=0, lt=1)
    splice: float = Field(ge=0)
    generated: float = Field(ge=0)
    min_texts: int = Field(ge=0)
    ngram_order: int = Field(ge=2, le=5)
    seed: Seed
