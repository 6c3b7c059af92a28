"""Advice before a full run: what cheap models, trained on a sample, say of a task.

`measure` trains them, `decide` draws conclusions from the numbers alone, `report` writes them down.
"""
