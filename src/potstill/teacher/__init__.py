"""Making teachers: fine-tuning Transformers, reading tables of probabilities made outside the pipeline."""
