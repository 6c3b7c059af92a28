"""The sources of the texts that the teacher labels."""

from typing import Literal, get_args

Source = Literal["train", "unlabelled", "replace", "drop", "splice", "generated", "borrow"]
SOURCES: tuple[Source, ...] = get_args(Source)
VARIANTS: tuple[Source, ...] = ("replace", "borrow", "drop", "splice")  # made of real texts
HELD_OUT = "held_out"  # unlabelled texts that no student learns from, so they are not in the transfer set
