"""Where the texts of a transfer set come from."""

SOURCES = {"train": 240, "unlabelled": 100, "replace": 300, "generated": 200}
