"""The models on the test split: scores, significance tests, the verdict, tables and figures."""
