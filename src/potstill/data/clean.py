"""Compare texts: two are equal if they differ in case and white space only."""

import pandas as pd


def comparison_key(text: str) -> str:
    """Return the form in which texts are compared."""
    return " ".join(text.casefold().split())


def comparison_keys(texts: pd.Series) -> pd.Series:
    """Return the `comparison_key` of every text, with the same index."""
    return texts.map(comparison_key)
