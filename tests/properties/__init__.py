"""The oracle: random queries on four shards and on one plain database must give the same answers."""
