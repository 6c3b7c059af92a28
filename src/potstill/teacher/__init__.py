"""Teachers: pre-trained Transformers that are fine-tuned, or tables of probabilities made elsewhere."""
