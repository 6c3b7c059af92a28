"""Teachers: fine-tuned Transformers, or tables of probabilities from elsewhere."""
