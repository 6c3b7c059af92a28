"""Labelling: the logits of a teacher for every text of the pool."""
