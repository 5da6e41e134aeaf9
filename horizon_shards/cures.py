"""What to do about an error of a shard on an engine of Django's own or of AWS, said in the error itself.

``aurora_mysql`` says more, and by itself; this adds nothing to its errors.
"""

from __future__ import annotations

import re
from typing import Any, Final

from django.db import Error, NotSupportedError, connections

from horizon_shards.backends.aurora_mysql.codes import code_of, says_read_only
from horizon_shards.signals import shard_failed
from horizon_shards.topology import get_group

LOGIN: Final = "check USER and PASSWORD, and whether the server lets this host in"
DATABASE: Final = "create the database, or correct NAME"
UNREACHABLE: Final = "check HOST and PORT and whether the server is up"
BEHIND: Final = "the database has not run all migrations that the code needs: manage.py showmigrations, then migrate"
DENIED: Final = "USER was not granted what it needs: grant it, or name another USER"
READ_ONLY: Final = "the server takes no writes (any more): name the primary in HOST"
VERSION: Final = "upgrade the server, or use a version of Django that takes it"

#: By the codes of MySQL and MariaDB and by PostgreSQL's SQLSTATE.
CURES: Final[dict[int | str, str]] = {
    1045: LOGIN,
    1130: LOGIN,
    "28000": LOGIN,
    "28P01": LOGIN,
    1049: DATABASE,
    "3D000": DATABASE,
    2002: UNREACHABLE,
    2003: UNREACHABLE,
    2005: UNREACHABLE,
    1054: BEHIND,
    1146: BEHIND,
    "42P01": BEHIND,
    "42703": BEHIND,
    1044: DENIED,
    1142: DENIED,
    1143: DENIED,
    1227: DENIED,
    "42501": DENIED,
    "25006": READ_ONLY,
}
#: PostgreSQL's drivers know no SQLSTATE where no connection was made: by what is said then, the first that fits.
SAID: Final = (
    (re.compile(r"password authentication failed|role .* does not exist|no pg_hba\.conf entry|no password"), LOGIN),
    (re.compile(r"database .* does not exist"), DATABASE),
    (re.compile(r"connection (failed|timeout)|failed to resolve|could not (connect|translate)"), UNREACHABLE),
)
OWN_CURES: Final = "horizon_shards.backends.aurora_mysql"


def cure_of(error: Error) -> str | None:
    """What to do about a database's error, or None where that depends."""
    if isinstance(error, NotSupportedError):
        return VERSION if "is required (found" in str(error) else None
    if says_read_only(error):
        return READ_ONLY
    code = code_of(error) or _sqlstate(error)
    if code is not None:
        return CURES.get(code)
    said = str(error)
    return next((cure for pattern, cure in SAID if pattern.search(said)), None)


def add_cure(sender: str, shard: str, error: BaseException, **kwargs: Any) -> None:
    """Put the cure behind the first line of the message; codes stay. Receives ``shard_failed``."""
    alias = get_group(sender).primaries[shard]
    if not isinstance(error, Error) or connections.settings[alias]["ENGINE"] == OWN_CURES:
        return
    cure = cure_of(error)
    position = next((i for i, part in enumerate(error.args) if isinstance(part, str)), None)
    if cure is None or position is None:
        return
    first, line_break, rest = error.args[position].partition("\n")
    args = list(error.args)
    args[position] = f"{first}: {cure}.{line_break}{rest}"
    error.args = tuple(args)


def watch() -> None:
    """From now on errors of shards say what to do."""
    shard_failed.connect(add_cure, dispatch_uid="horizon_shards.cures")


def _sqlstate(error: Error) -> str | None:
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
