"""The `prepare` section."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from potstill.core.params import Keys, Section, Seed

Name = Annotated[str, Field(min_length=1)]
# A class may be named 1 or 2.5, which YAML reads as a number.
LabelName = Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
Fraction = Annotated[float, Field(gt=0, lt=0.5)]


class Hub(Keys):
    """A data set on the Hugging Face hub, or a folder that `DatasetDict.save_to_disk` wrote."""

    dataset: Name | None
    config: Name | None
    revision: Name | None


class DemoSizes(Keys):
    """Numbers of rows of the built-in corpus."""

    train: PositiveInt
    validation: PositiveInt
    test: PositiveInt
    unlabelled: NonNegativeInt


class PrepareParams(Section):
    """The data and their splits; `params.yaml` documents each key."""

    section: ClassVar[str] = "prepare"

    source: Literal["demo", "files", "hub"]
    path: Name
    train: Name | None
    validation: Name | None
    test: Name | None
    unlabelled: list[Name]
    text: Name
    label: Name
    label_names: list[LabelName] | None
    descriptions: dict[LabelName, Name] | None
    multi_label: bool
    validation_share: Fraction
    test_share: Fraction
    max_labelled: PositiveInt | None
    max_validation: PositiveInt | None
    seed: Seed
    hub: Hub
    demo: DemoSizes

    @field_validator("label_names")
    @classmethod
    def _distinct(cls, labels: list[str] | None) -> list[str] | None:
        if labels is not None and len(set(labels)) < max(2, len(labels)):
            raise ValueError("must be at least two distinct names")
        return labels
