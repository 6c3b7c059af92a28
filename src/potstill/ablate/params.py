"""The `ablate` section."""

from typing import Annotated, ClassVar

from pydantic import Field

from potstill.core.params import Section
from potstill.student.params import Architecture

Fraction = Annotated[float, Field(gt=0, lt=1)]


class AblateParams(Section):
    """The ablation; `params.yaml` documents each key."""

    section: ClassVar[str] = "ablate"

    sources: bool = True
    vocabulary: bool = True
    architectures: list[Architecture] = Field(["mlp", "cnn"])
    transfer_shares: list[Fraction] = Field([0.03, 0.1, 0.3])
    label_shares: list[Fraction] = Field([0.1, 0.3])
    steps: int = Field(1000, ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(0.01, gt=0, le=1)
    n_jobs: int = Field(0, ge=0)
