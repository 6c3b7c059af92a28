"""The `label` section."""

from typing import ClassVar, Literal

from pydantic import Field

from potstill.core.params import Section


class LabelParams(Section):
    """How the pool is labelled; `params.yaml` documents each key."""

    section: ClassVar[str] = "label"

    teachers: list[str] = Field(min_length=1)
    batch_size: int = Field(ge=1)
    precision: Literal["auto", "bf16", "fp32"]
    engine: Literal["local", "ray"]
    workers: int = Field(ge=0)
    ray_address: str | None
    storage: str | None
