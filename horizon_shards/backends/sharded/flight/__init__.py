"""Asking several shards at once, on the caller's connections: by threads, or sent to all before an answer is read."""
