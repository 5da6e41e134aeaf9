"""Measurements of what the logical database costs; each module is a command: ``python -m benchmarks.routed``."""
