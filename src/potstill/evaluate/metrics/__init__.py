"""Scores, statistical tests and decision thresholds."""
