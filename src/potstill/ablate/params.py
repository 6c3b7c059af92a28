"""The `ablate` section."""

from typing import Annotated, ClassVar

from pydantic import Field

from potstill.core.params import Section
from potstill.student.params import Architecture

Fraction = Annotated[float, Field(gt=0, lt=1)]


class AblateParams(Section):
    """The ablation; `params.yaml` documents each key."""

    section: ClassVar[str] = "ablate"

    sources: bool
    vocabulary: bool
    architectures: list[Architecture]
    transfer_shares: list[Fraction]
    label_shares: list[Fraction]
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0, le=1)
    n_jobs: int = Field(ge=0)
