"""The `baseline` section."""

from typing import ClassVar, Literal

from pydantic import Field

from potstill.student.params import NetworkParams


class BaselineParams(NetworkParams):
    """The models trained on hard labels; `params.yaml` documents each key."""

    section: ClassVar[str] = "baseline"

    C: float = Field(1.0, gt=0)
    class_weight: Literal["balanced"] | None = None
