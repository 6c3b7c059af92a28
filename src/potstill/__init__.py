"""potstill: distil a Transformer text classifier into a few kilobytes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.runtime.model import Student

__version__ = "0.1.0"
__all__ = ["Student"]


def __getattr__(name: str) -> Any:
    """Import `Student` on first use: it takes numpy, and stages without it do not depend on the runtime."""
    if name == "Student":
        return import_module("potstill.runtime.model").Student
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
