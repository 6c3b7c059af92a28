"""The `label` section."""

from typing import ClassVar, Literal

from pydantic import Field

from potstill.core.params import Section


class LabelParams(Section):
    """How the pool is labelled; `params.yaml` documents each key."""

    section: ClassVar[str] = "label"

    teachers: list[str] = Field(["minilm"], min_length=1)
    batch_size: int = Field(32, ge=1)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    engine: Literal["local", "ray"] = "local"
    workers: int = Field(0, ge=0)
    ray_address: str | None = None
    storage: str | None = None
