"""The ablation: what the teacher, each source of text, the vocabulary and the amount of text contribute."""
