"""A teacher that is a table: look up its probabilities."""

import numpy as np
import pandas as pd
from scipy.special import logit

from potstill.data.clean import comparison_keys


def logits(table: pd.DataFrame, texts: pd.Series, multi_label: bool = False) -> np.ndarray:
    """Look up texts, ignoring case and white space.

    Returns:
        Log-probabilities, for multi-label tables log-odds: float32 (texts, classes); rows of NaN for texts that the
        table does not contain.
    """
    labels = table.columns[1:]
    known = table.assign(key=comparison_keys(table["text"])).drop_duplicates("key").set_index("key")[labels]
    return log_odds(known.reindex(comparison_keys(texts)).to_numpy(np.float64), multi_label)


def log_odds(probabilities: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return the logarithms of probabilities (texts, classes), of multi-label ones the log-odds, as float32."""
    # Probabilities of exactly 0 or 1 are rounded; their logarithms must be finite.
    if multi_label:
        return logit(np.clip(probabilities, 1e-6, 1 - 1e-6)).astype(np.float32)
    return np.log(np.clip(probabilities, 1e-6, None)).astype(np.float32)
