"""The `ablate` section."""

from typing import Annotated, ClassVar

from pydantic import Field

from potstill.params.network import Architecture
from potstill.params.section import Section

Part = Annotated[float, Field(gt=0, lt=1)]


class AblateParams(Section):
    """What is left out, to see what it brings; `params.yaml` says what every key means."""

    section: ClassVar[str] = "ablate"

    sources: bool
    vocabulary: bool
    architectures: list[Architecture]
    transfer_shares: list[Part]
    label_shares: list[Part]
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0, le=1)
    n_jobs: int = Field(ge=0)
