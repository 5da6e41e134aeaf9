"""Loading what Firehose delivered: from a folder in the place of S3, into SQLite."""
