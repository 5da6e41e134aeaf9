"""The demo in one command."""

from __future__ import annotations

import os

import demo


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


def test_the_demo_is_served_on_loopback_alone(monkeypatch):
    """Unless another address is named; its server is Django's own."""
    called = []
    monkeypatch.setattr("sys.argv", ["demo.py"])
    monkeypatch.setattr(demo, "call_command", lambda *arguments, **options: called.append(arguments))
    monkeypatch.setattr(demo, "_prepare", lambda: None)
    monkeypatch.setattr(demo, "_collect", lambda log: None)
    monkeypatch.setattr(demo, "_admin_password", lambda: "x")
    demo.main()
    assert called == [("demo_report",), ("runserver", "127.0.0.1:8000")]
