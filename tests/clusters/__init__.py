"""Tests on clusters of MariaDB that fail over: ``python -m tests.servers run -- python -m pytest tests/clusters``."""
