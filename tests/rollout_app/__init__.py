"""An app whose migrations are run on shards of their own by tests of ``migrate``."""
