"""Sinks: into a database, into Firehose, and what happens to what they hold."""
