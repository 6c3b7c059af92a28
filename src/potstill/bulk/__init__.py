"""Classifying files of any size, batch by batch."""
