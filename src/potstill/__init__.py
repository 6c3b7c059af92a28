"""potstill: distil a Transformer text classifier into a few kilobytes."""

__version__ = "0.1.0"


def __getattr__(name: str):  # type: ignore[no-untyped-def]
    """`Student`, when it is asked for: most of potstill does without what it needs."""
    if name == "Student":
        from importlib import import_module

        return import_module("potstill.runtime.model").Student
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
