"""The engine of a logical database."""
