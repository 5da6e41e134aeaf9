"""What to do about errors of MySQL and MariaDB that no second attempt mends, said in the error itself."""

from __future__ import annotations

from typing import Final

from horizon_shards.backends.aurora_mysql.codes import code_of, says_read_only

ACCESS_DENIED: Final = 1045
NO_TLS: Final = 2026

#: Of connecting.
CURES: Final = {
    ACCESS_DENIED: "check USER and PASSWORD, or CLUSTER['SECRET'] and CLUSTER['IAM']",
    1044: "grant USER the database",
    1049: "create the database, or correct NAME",
    NO_TLS: "the server does not offer the TLS that OPTIONS['ssl_mode'] asks for, or its certificate is not trusted",
}

BEHIND: Final = "has not run all migrations that the code needs: manage.py showmigrations, then migrate"
DENIED: Final = "was not granted what its USER needs: grant it, or name another USER"

#: Of statements; each begins with the name of the database.
CURES_OF_STATEMENTS: Final = {
    1146: BEHIND,
    1054: BEHIND,
    1142: DENIED,
    1143: DENIED,
    1044: DENIED,
    1227: DENIED,
}
READ_ONLY: Final = "is connected to a server that takes no writes (any more): the next block looks for the primary"


def explain(error: BaseException, alias: str) -> None:
    """Put the alias and the cure behind the message of a statement's error, once; its code stays."""
    cure = CURES_OF_STATEMENTS.get(code_of(error) or 0) or (READ_ONLY if says_read_only(error) else None)
    if cure is None or len(error.args) < 2 or hasattr(error, "explained"):
        return
    error.args = (error.args[0], f"{error.args[1]}: database {alias!r} {cure}.", *error.args[2:])
    error.explained = True  # type: ignore[attr-defined]
