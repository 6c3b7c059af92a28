"""The sources of the texts of the transfer set."""

from typing import Literal, get_args

Source = Literal["train", "unlabelled", "replace", "drop", "splice", "generated", "borrow"]
SOURCES: tuple[Source, ...] = get_args(Source)
VARIANTS: tuple[Source, ...] = ("replace", "borrow", "drop", "splice")  # made of real texts
