"""The `report` section."""

from typing import ClassVar

from pydantic import Field

from potstill.core.params import Section


class ReportParams(Section):
    """How much the report shows; `params.yaml` documents each key."""

    section: ClassVar[str] = "report"

    samples: int = Field(ge=0)
    errors: int = Field(ge=0)
    suspects: int = Field(ge=0)
    k_anonymity: int = Field(ge=1)
