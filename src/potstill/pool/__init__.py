"""The pool: unlabelled, augmented and generated texts for the teacher to label."""
