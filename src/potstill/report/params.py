"""The `report` section."""

from typing import ClassVar

from pydantic import Field

from potstill.core.params import Section


class ReportParams(Section):
    """How much the report shows; `params.yaml` documents each key."""

    section: ClassVar[str] = "report"

    examples: int = Field(6, ge=0)
    differences: int = Field(10, ge=0)
    samples: int = Field(3, ge=0)
    errors: int = Field(10, ge=0)
    suspects: int = Field(20, ge=0)
    to_label: int = Field(50, ge=0)
    k_anonymity: int = Field(5, ge=1)
