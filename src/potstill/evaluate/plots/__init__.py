"""Figures and where their labels go."""
