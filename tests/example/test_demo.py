"""The demo in one command."""

from __future__ import annotations

import os


def test_models_and_migrations_agree(process):
    """On shards and on one database."""
    for shards in ("4", "0"):
        assert "No changes" in process("manage.py", "makemigrations", "--check", "--dry-run", SHARDS=shards)


def test_the_demo_runs_twice(process):
    """The second run doubles nothing and ends with the same report."""
    shards = os.environ.get("SHARDS", "4")
    first = process("demo.py", "--no-serve", SHARDS=shards)
    second = process("demo.py", "--no-serve", SHARDS=shards)
    assert "6,608 views stored for 16 websites" in first
    assert "6,608 were imported before" in second
    report = "Which shard holds what"
    assert first.partition(report)[2] == second.partition(report)[2]
    assert "news.example" in first.partition(report)[2]
