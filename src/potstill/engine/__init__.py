"""Processing many shards in local processes or on a Ray cluster."""
