"""Advice before a full run, from inexpensive models on a sample of a task.

`sample` draws the sample, `measure` trains the models, `decide` applies rules to the numbers, `report` formats them.
"""
