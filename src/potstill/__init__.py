"""potstill: distil a Transformer text classifier into a few kilobytes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from potstill.core.errors import PotstillError

if TYPE_CHECKING:
    from potstill.estimator.classifier import DistilledClassifier
    from potstill.estimator.teacher import Teacher
    from potstill.runtime.model import Student

__version__ = "0.1.0"
__all__ = ["DistilledClassifier", "PotstillError", "Student", "Teacher"]
_TRAINED = {"DistilledClassifier": "classifier", "Teacher": "teacher"}  # names, and modules of `estimator`


def __getattr__(name: str) -> Any:
    """Import a name on first use: `Student` takes numpy, and the others what the extra `train` installs.

    Raises:
        MissingPackageError: a package of that extra is not installed.
    """
    if name == "Student":
        return import_module("potstill.runtime.model").Student
    if name in _TRAINED:
        try:
            return getattr(import_module(f"potstill.estimator.{_TRAINED[name]}"), name)
        except ModuleNotFoundError as error:
            from potstill.core.errors import missing_package

            raise missing_package(error.name, "train") from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
