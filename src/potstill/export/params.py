"""The `export` section."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from potstill.core.params import Keys, Section

Share = Annotated[float, Field(gt=0, lt=1)]


class GuaranteeParams(Keys):
    """What the exported student promises on the texts that it answers."""

    accuracy: Share | None = None
    agreement: Share | None = None
    confidence: Share = 0.95
    per_class: bool = False

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.accuracy is None) == (self.agreement is None):
            raise ValueError("set one of accuracy and agreement, such as {agreement: 0.98}")
        return self

    @property
    def kind(self) -> Literal["accuracy", "agreement"]:
        """What is promised."""
        return "agreement" if self.accuracy is None else "accuracy"

    @property
    def target(self) -> float:
        """The least share of answers that are as promised."""
        return self.agreement or self.accuracy or 0.0


class ScopeParams(Keys):
    """When a text is out of scope; `params.yaml` documents each key."""

    false_alarms: float = Field(0.01, gt=0, le=0.5)


class ExportParams(Section):
    """What the exported files hold; `params.yaml` documents each key."""

    section: ClassVar[str] = "export"

    keep_vocabulary: bool = False
    guarantee: GuaranteeParams | None = None
    profile: bool = True
    scope: ScopeParams | None = ScopeParams()
