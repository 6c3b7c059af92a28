"""Scores, significance tests, timing, tables and figures of models."""
