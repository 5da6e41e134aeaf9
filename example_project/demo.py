"""The whole example in one command: databases, tables, an access log, counts, the report, the dashboard.

    python example_project/demo.py              until Ctrl-C on http://127.0.0.1:8000
    python example_project/demo.py --no-serve   ends after the report
    python example_project/demo.py --log FILE   another access log, plain or gzip

Running it again imports what is new and doubles nothing.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import django
from django.core.management import CommandError, call_command

HERE = Path(__file__).resolve().parent
#: How many lines are looked at to see whether a log names virtual hosts.
PROBED_LINES = 100


def main() -> None:
    """Run all steps; an error ends with its one line and status 1."""
    options = _options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("DEBUG", "1")
    django.setup()
    try:
        _prepare()
        _collect(options.log)
        with _step("Which shard holds what"):
            call_command("demo_report")
    except (CommandError, OSError) as error:
        sys.exit(f"Error: {error}")
    if options.serve:
        _say("")
        _serve(f"{options.address}:{options.port}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--log", default=str(HERE / "data" / "access_log.gz"), help="the access log to import")
    parser.add_argument("--no-serve", dest="serve", action="store_false", help="end after the report")
    parser.add_argument("--address", default="127.0.0.1", help="where to serve (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="where to serve (8000)")
    return parser.parse_args()


def _prepare() -> None:
    from django.conf import settings

    with _step(f"Tables in {len(settings.DATABASES)} databases"):
        call_command("migrate", database="default", verbosity=0)
        if settings.SHARDED:
            # The directory alone: it says which shard holds which key, and gives out numbers for ids.
            call_command("migrate", "horizon_shards", database="directory", verbosity=0)
        call_command("migrate", "warehouse", database="warehouse", verbosity=0)
        call_command("migrate", database="track", verbosity=1)


def _collect(log: str) -> None:
    with _step("The access log"):
        call_command("import_access_log", log, site_from="host" if _names_hosts(log) else "path")
    with _step("Hours and days"):
        call_command("aggregate")
    with _step("The warehouse"):
        call_command("load_warehouse")


def _names_hosts(log: str) -> bool:
    """Whether the log has virtual hosts; if not, each first folder of its paths is shown as a website."""
    from track.access_log import BadLine, parse_line
    from track.log_file import LogFile, decoded

    with suppress(EOFError), LogFile(log) as file:
        for _, line in islice(file.lines(), PROBED_LINES):
            with suppress(BadLine):
                if parse_line(decoded(line or b"")).host:
                    return True
    return False


def _serve(address: str) -> None:
    password = _admin_password()
    _say(f"Dashboard: http://{address}/")
    _say(f"Admin:     http://{address}/admin/  user demo, password {password} (a new one at every start)")
    _say("Ctrl-C ends it.\n")
    with suppress(KeyboardInterrupt):
        call_command("runserver", address, use_reloader=False, skip_checks=True)


def _admin_password() -> str:
    from django.contrib.auth import get_user_model

    password = secrets.token_urlsafe(9)
    user, _ = get_user_model().objects.get_or_create(username="demo", defaults={"is_staff": True, "is_superuser": True})
    user.set_password(password)
    user.save(update_fields=["password"])
    return password


@contextmanager
def _step(title: str) -> Iterator[None]:
    _say(f"\n{title}\n{'=' * len(title)}")
    yield


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
