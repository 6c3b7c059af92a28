"""The `pool` section."""

from typing import ClassVar

from pydantic import Field

from potstill.core.params import Section, Seed


class PoolParams(Section):
    """The texts of the transfer set; `params.yaml` documents each key."""

    section: ClassVar[str] = "pool"

    train: bool = True
    unlabelled: int | None = Field(None, ge=0)
    held_out: float = Field(0.1, ge=0, lt=1)
    replace: float = Field(1.0, ge=0)
    replace_rate: float = Field(0.25, gt=0, lt=1)
    borrow: float = Field(1.0, ge=0)
    vocab_checkpoint: str = "sentence-transformers/all-MiniLM-L6-v2"
    drop: float = Field(0.5, ge=0)
    drop_rate: float = Field(0.3, gt=0, lt=1)
    splice: float = Field(0.5, ge=0)
    generated: float = Field(1.0, ge=0)
    min_texts: int = Field(50000, ge=0)
    ngram_order: int = Field(3, ge=2, le=5)
    seed: Seed = 0
