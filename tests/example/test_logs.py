"""The log: in JSON in production, to be read at home, each line with its request and its shards."""

from __future__ import annotations

import json
import logging
import logging.config
from itertools import dropwhile

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.logs import read_format, read_logging

structlog = pytest.importorskip("structlog", reason="needs django-structlog: pip install '.[example]'")

#: What production sets, and a shard that has no tables.
SCRIPT = """
import os
os.dup2(1, 2)
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("migrate", database="default", verbosity=0)
call_command("migrate", "horizon_shards", database="directory", verbosity=0)
from track.models import Website
sites = [Website.objects.create(domain=f"{name}.example", key=name) for name in ("abc", "def")]
client = Client(raise_request_exception=False, REMOTE_ADDR="198.51.100.77", headers={"User-Agent": "the-agent"})
client.get("/t/track.js?token=the-query")
client.post("/t/event", {"site": "abc", "path": "/?the-query"}, content_type="application/json")
client.get("/nowhere/?token=the-query")
client.get("/sites/def/?token=the-query")
client.get("/")
"""
SECRETS = ("the-secret-key", "the-salt", "the-query", "the-agent", "198.51.100")


@pytest.fixture
def lines(process):
    """The log of a process, from its first request on."""
    production = {"SECRET_KEY": "the-secret-key", "VISITOR_SALT": "the-salt", "ALLOWED_HOSTS": "testserver"}
    rest = {"DEBUG": "0", "HTTPS": "0", "LOGIN_REQUIRED": "0", "SHARDS": "2", "LOG_FORMAT": "", "LOG_LEVEL": ""}
    said = process("-c", SCRIPT, **production, **rest)
    assert [secret for secret in SECRETS if secret in said] == []
    found = [json.loads(line) for line in said.splitlines()]
    return list(dropwhile(lambda line: "request_id" not in line, found))


def test_each_line_of_production_is_json_with_its_request_and_its_shards(lines):
    """One line ends each request; what others tell meanwhile has the same id, and the shards asked so far."""
    assert all("request_id" in line for line in lines)
    ends = [line for line in lines if line["event"] == "request_finished"]
    assert [(line["request"], line["code"]) for line in ends] == [
        ("GET /t/track.js", 200),
        ("POST /t/event", 503),
        ("GET /nowhere/", 404),
        ("GET /sites/def/", 503),
        ("GET /", 503),
    ]
    assert len({line["request_id"] for line in ends}) == 5
    assert [len(line.get("shards", ())) for line in ends] == [0, 1, 0, 1, 2]
    assert [line.get("queries", 0) for line in ends][:4] == [0, 1, 0, 1]
    assert ends[4]["queries"] >= 1
    (lost,) = [line for line in lines if line["event"].startswith("A view of abc.example was lost")]
    assert (lost["request_id"], lost["shards"], lost["level"]) == (ends[1]["request_id"], ends[1]["shards"], "error")
    assert (lost["logger"], "no such table" in lost["exception"]) == ("track.views", True)
    failed = [line for line in lines if line["event"] == "shard_failed"]
    assert {line["request_id"] for line in failed} == {
        ends[1]["request_id"],
        ends[3]["request_id"],
        ends[4]["request_id"],
    }
    assert all(line["shard"] in line["shards"] and line["error"] == "OperationalError" for line in failed)


@pytest.fixture
def told(monkeypatch):
    """A line as the settings of a format write it; the settings of the tests come back."""
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    before = structlog.get_config()

    def line(chosen, **context):
        config = read_logging(chosen)
        formatter = logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["lines"])
        with structlog.contextvars.bound_contextvars(**context):
            try:
                the_salt = "the-value"
                raise ValueError(the_salt[:3])
            except ValueError as error:
                found = (ValueError, error, error.__traceback__)
            return formatter.format(logging.LogRecord("track", logging.ERROR, "", 1, "Lost %s", ("it",), found))

    yield line
    structlog.configure(**before)


def test_at_home_a_line_is_to_be_read(told):
    """The same in words; a traceback has no values of variables."""
    said = told("console", request_id="r-1", shards=["track-1"])
    assert all(part in said for part in ("Lost it", "request_id", "r-1", "track-1", "Traceback", "ValueError: the"))
    assert "the-value" not in said
    assert json.loads(told("json", request_id="r-1"))["request_id"] == "r-1"


def test_the_format_is_that_of_the_environment(monkeypatch):
    """JSON in production, words at home; another word is an error."""
    monkeypatch.delenv("LOG_FORMAT", raising=False)
    assert (read_format(debug=False), read_format(debug=True)) == ("json", "console")
    monkeypatch.setenv("LOG_FORMAT", "plain")
    assert read_format(debug=False) == "plain"
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match="LOG_FORMAT"):
        read_format(debug=True)


def test_without_the_package_production_says_what_to_install(monkeypatch):
    """At home the log is then Django's own."""
    monkeypatch.delenv("LOG_FORMAT", raising=False)
    monkeypatch.setattr("config.logs.find_spec", lambda name: None)
    assert read_format(debug=True) == "plain"
    with pytest.raises(ImproperlyConfigured, match="pip install"):
        read_format(debug=False)
