"""The `student` section."""

from typing import ClassVar, Literal

from pydantic import Field

from potstill.params.network import NetworkParams
from potstill.pool.sources import Source


class StudentParams(NetworkParams):
    """The student and its loss; `params.yaml` documents each key."""

    section: ClassVar[str] = "student"

    sources: list[Source] | None = Field(min_length=1)
    loss: Literal["kl", "mse"]
    temperature: float = Field(gt=0)
