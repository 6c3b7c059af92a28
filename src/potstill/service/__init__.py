"""A student as an HTTP service: `potstill serve`."""
