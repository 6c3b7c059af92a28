"""The `evaluate` section."""

from typing import ClassVar

from pydantic import Field

from potstill.core.params import Section


class EvaluateParams(Section):
    """How models are compared and timed; `params.yaml` documents each key."""

    section: ClassVar[str] = "evaluate"

    non_inferiority_margin: float = Field(0.01, ge=0, le=1)
    max_disagreement: float = Field(0.05, ge=0, le=1)
    reference: str | None = None
    published: bool = False
    timing_seconds: float = Field(2.0, gt=0)
