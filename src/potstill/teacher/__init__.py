"""Making teachers: fine-tuning Transformers, reading tables of probabilities from elsewhere."""
