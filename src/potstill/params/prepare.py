"""The section `prepare` of `params.yaml`: where texts and labels come from, and what is kept."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from potstill.params.section import Keys, Section, Seed

Name = Annotated[str, Field(min_length=1)]
# A class may be called 1 or 2.5; YAML reads such a name as a number.
LabelName = Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
Share = Annotated[float, Field(gt=0, lt=0.5)]


class Hub(Keys):
    """A data set on the Hugging Face hub, or a folder that `DatasetDict.save_to_disk` wrote."""

    dataset: Name | None
    config: Name | None
    revision: Name | None


class DemoSizes(Keys):
    """Rows of the built-in corpus."""

    train: PositiveInt
    validation: PositiveInt
    test: PositiveInt
    unlabelled: NonNegativeInt


class PrepareParams(Section):
    """What `params.yaml` says about the data; every key is explained there."""

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
    multi_label: bool
    validation_share: Share
    test_share: Share
    max_labelled: PositiveInt | None
    max_validation: PositiveInt | None
    seed: Seed
    hub: Hub
    demo: DemoSizes

    @field_validator("label_names")
    @classmethod
    def _distinct(cls, labels: list[str] | None) -> list[str] | None:
        if labels is not None and len(set(labels)) < max(2, len(labels)):
            raise ValueError("give at least two names, each once")
        return labels
