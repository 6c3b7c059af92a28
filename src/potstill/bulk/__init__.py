"""Scoring files of any size, a batch at a time."""
