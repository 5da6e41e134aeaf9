"""Transactions over shards in two phases: prepare on all, decide in the directory, commit on all."""
