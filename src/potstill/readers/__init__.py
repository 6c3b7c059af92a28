"""Reading tables of texts: CSV, TSV, JSONL, Parquet, .txt, compressed or not."""
