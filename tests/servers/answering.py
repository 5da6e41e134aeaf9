"""Says which server ``SHARDS_ENGINE`` names, or why it does not answer."""

from __future__ import annotations

import os
import sys
import time

import django
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

WAIT_SECONDS = 60


def main() -> int:
    """Print the server's version; 1 after ``WAIT_SECONDS`` without an answer."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    oracle = connections["oracle"]
    # Without a name the driver connects to the server's own database: that of the tests is not made yet.
    server = type(oracle)({**oracle.settings_dict, "NAME": None}, "server")
    where = "{USER}@{HOST}".format(**oracle.settings_dict)
    error = wait_for(server)
    if error is None:
        sys.stdout.write(f"{server.display_name} at {where}: {version(server)}\n")
        return 0
    sys.stderr.write(
        f"No {server.display_name} for {where} within {WAIT_SECONDS} s: {error}\n"
        "Start it, or name another by SHARDS_HOST, SHARDS_PORT, SHARDS_USER and SHARDS_PASSWORD.\n"
    )
    return 1


def wait_for(server: BaseDatabaseWrapper) -> DatabaseError | None:
    """Connect; the last error where the server did not answer in time."""
    give_up_at = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            server.ensure_connection()
        except DatabaseError as error:
            if time.monotonic() > give_up_at:
                return error
            time.sleep(1)
        else:
            return None


def version(server: BaseDatabaseWrapper) -> str:
    """What the server says of itself."""
    with server.cursor() as cursor:
        cursor.execute("SELECT version()")
        return str(cursor.fetchone()[0])
