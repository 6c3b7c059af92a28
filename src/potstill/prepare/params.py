"""The `prepare` section."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from potstill.core.params import Keys, Section, Seed
from potstill.readers.columns import Columns

Name = Annotated[str, Field(min_length=1)]
# A class may be named 1 or 2.5, which YAML reads as a number.
LabelName = Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
Fraction = Annotated[float, Field(gt=0, lt=0.5)]


class Hub(Keys):
    """A data set on the Hugging Face hub, or a folder that `DatasetDict.save_to_disk` wrote."""

    dataset: Name | None = None
    config: Name | None = None
    revision: Name | None = None


class DemoSizes(Keys):
    """Numbers of rows of the built-in corpus."""

    train: PositiveInt = 1500
    validation: PositiveInt = 500
    test: PositiveInt = 3000
    unlabelled: NonNegativeInt = 8000


class PrepareParams(Section):
    """The data and their splits; `params.yaml` documents each key."""

    section: ClassVar[str] = "prepare"

    source: Literal["demo", "files", "hub"] = "demo"
    path: Name = "data/example"
    train: Name | None = None
    validation: Name | None = None
    test: Name | None = None
    unlabelled: list[Name] = Field([])
    text: Columns = Field(["text"])
    label: Name | None = "label"
    test_label: Name | None = None
    label_names: list[LabelName] | None = None
    descriptions: dict[LabelName, Name] | None = None
    multi_label: bool = False
    validation_share: Fraction = 0.1
    test_share: Fraction = 0.1
    fold: PositiveInt | None = None
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    max_labelled: PositiveInt | None = None
    max_validation: PositiveInt | None = None
    seed: Seed = 0
    hub: Hub = Hub()
    demo: DemoSizes = DemoSizes()

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.fold and self.fold > self.folds:
            raise ValueError(f"fold is {self.fold}, but folds is {self.folds}")
        return self

    @field_validator("label_names")
    @classmethod
    def _distinct(cls, labels: list[str] | None) -> list[str] | None:
        if labels is not None and len(set(labels)) < max(2, len(labels)):
            raise ValueError("must be at least two distinct names")
        return labels

    @model_validator(mode="after")
    def _labels_are_there_or_not(self) -> "PrepareParams":
        if self.label is not None:
            if self.test_label is not None:
                raise ValueError("test_label is for texts without labels: set it to null, or `label` to null")
            return self
        for key in ("multi_label", "max_labelled", "fold"):
            if getattr(self, key):
                raise ValueError(f"{key} is for texts with labels, but `label` is null")
        if self.source == "files" and self.label_names is None:
            raise ValueError("label_names must list the names of the classes, since `label` is null")
        return self

    def label_of(self, split: str) -> str | None:
        """Return the column with the labels of a split; None if it has none."""
        return self.test_label if self.label is None and split == "test" else self.label
