"""potstill: distil a Transformer text classifier into a few kilobytes."""

__version__ = "0.1.0"
