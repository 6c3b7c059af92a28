"""How good, how sure, how big and how fast: scores, statistics, timing, table and pictures."""
