"""The prepared data and the transfer set."""
