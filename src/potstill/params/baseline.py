"""The `baseline` section."""

from typing import ClassVar, Literal

from pydantic import Field

from potstill.params.network import NetworkParams


class BaselineParams(NetworkParams):
    """The models that no teacher helps; `params.yaml` says what every key means."""

    section: ClassVar[str] = "baseline"

    C: float = Field(gt=0)
    class_weight: Literal["balanced"] | None
