"""What the tests of the example share: the project's folder, a log of a few lines, and running its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from horizon_shards.context import allow_scatter, forbid_scatter

EXAMPLE = Path(__file__).resolve().parents[2] / "example_project"

# The library's tests have other settings: they leave these to a run of their own (see pytest.ini).
if getattr(settings, "ROOT_URLCONF", "") != "config.urls":
    collect_ignore_glob = ["test_*.py"]

LINES = [
    (
        b'a.example:443 192.0.2.1 - - [02/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 100 '
        b'"https://www.google.com/?q=x" "Mozilla/5.0 (Windows NT 10.0; rv:148.0) Gecko/20100101 Firefox/148.0"'
    ),
    (
        b'a.example:443 192.0.2.1 - - [02/Mar/2026:10:00:09 +0000] "GET /shop/?id=3 HTTP/1.1" 200 50 '
        b'"https://a.example/" "Mozilla/5.0 (Windows NT 10.0; rv:148.0) Gecko/20100101 Firefox/148.0"'
    ),
    (
        b'a.example:443 192.0.2.1 - - [02/Mar/2026:10:00:09 +0000] "GET /site.css HTTP/1.1" 200 9 "https://a.example/" '
        b'"Mozilla/5.0 (Windows NT 10.0; rv:148.0) Gecko/20100101 Firefox/148.0"'
    ),
    b'a.example:443 192.0.2.2 - - [03/Mar/2026:11:30:00 +0200] "GET /gone/ HTTP/1.1" 404 - "-" "curl/8.5.0"',
    (
        b'b.example:443 192.0.2.3 - - [03/Mar/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 70 "-" '
        b'"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"'
    ),
    b"this is no log line",
    # The same line twice: two requests in one second.
    b'b.example:443 192.0.2.4 - - [03/Mar/2026:12:00:01 +0000] "GET /x/ HTTP/1.1" 200 70 "-" "Opera/9.80 (X11; Linux)"',
    b'b.example:443 192.0.2.4 - - [03/Mar/2026:12:00:01 +0000] "GET /x/ HTTP/1.1" 200 70 "-" "Opera/9.80 (X11; Linux)"',
]


@pytest.fixture
def log(tmp_path):
    """A log of two websites: seven requests and one bad line."""
    path = tmp_path / "small.log"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


class StrictClient(Client):
    """A client whose requests may ask several shards only where the project says that this is meant."""

    def request(self, **request):
        with forbid_scatter():
            return super().request(**request)


@pytest.fixture
def client():
    return StrictClient()


@pytest.fixture
def admin_client(admin_user):
    client = StrictClient()
    client.force_login(admin_user)
    return client


@pytest.fixture(autouse=True)
def tests_look_everywhere():
    """What a test asks by itself may go to all shards; what the project asks may not (see ``client`` and ``run``)."""
    with allow_scatter():
        yield


@pytest.fixture
def run():
    """Run a command of the project, which may ask several shards only where it says so; gives what it printed."""

    def command(*args, **options):
        out = StringIO()
        with forbid_scatter():
            call_command(*map(str, args), stdout=out, stderr=StringIO(), **options)
        return out.getvalue()

    return command


@pytest.fixture
def process(tmp_path):
    """Run a script of the project (or a copy) in a process of its own, with a fresh folder; gives what it printed."""
    import horizon_shards

    def script(*args, folder="data", code=EXAMPLE, **environment):
        kept = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_URLS"))}
        package = str(Path(horizon_shards.__file__).resolve().parents[1])
        changed = {"DATA_DIR": str(tmp_path / folder), "PYTHONPATH": package, "DEBUG": "1", **environment}
        # The settings of this process are not those of the project as its users run it.
        changed["DJANGO_SETTINGS_MODULE"] = "config.settings"
        done = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning:horizon_shards", *map(str, args)],
            cwd=code,
            env=kept | changed,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, (
            f"{args} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
        return done.stdout

    return script
