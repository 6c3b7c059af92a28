"""A teacher that is a large language model behind an OpenAI-compatible API: it is asked for the label of each text."""
