"""What the error codes of MySQL, MariaDB and their drivers say about a connection."""

from __future__ import annotations

from typing import Final

SERVER_GONE: Final = 2006

#: The connection is lost: nothing that is asked of it will be answered.
LOST: Final = frozenset(
    {
        SERVER_GONE,
        2013,  # lost while waiting for the answer, or the time-out passed
        2055,  # lost, with the system's error
        4031,  # closed by MySQL for having been idle
        1053,  # the server is shutting down
        1927,  # MariaDB: the connection was killed
    }
)

#: The server does not take writes: it is a replica, or has become one.
READ_ONLY: Final = frozenset(
    {
        1290,  # --read-only; also other options, see says_read_only()
        1792,  # the transaction is read only
        1836,  # running in read-only mode
        1036,  # the table is read only: MariaDB with innodb_read_only
        1015,  # cannot lock the file: MySQL with innodb_read_only
    }
)

#: No connection was made, and another attempt may make one.
UNREACHABLE: Final = LOST | {
    2001,
    2002,  # no answer, or the port is closed
    2003,
    2005,  # the name is unknown: an endpoint that is being moved
    2012,
    1040,  # too many connections
    1203,
    1129,  # the host is blocked after errors
}

#: A COMMIT that was answered, or not sent: the transaction is rolled back.
NOT_COMMITTED: Final = READ_ONLY | {SERVER_GONE, 1213, 1402, 1613, 1614}


def code_of(error: BaseException) -> int | None:
    """The code of a driver's or Django's error, or None."""
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else None


def says_lost(error: BaseException) -> bool:
    """Whether the error ends the connection that raised it."""
    return code_of(error) in LOST


def says_read_only(error: BaseException) -> bool:
    """Whether the error says that the server takes no writes; code 1290 is used for other options too."""
    code = code_of(error)
    return code in READ_ONLY and (code != 1290 or "read-only" in str(error.args[-1]).replace("_", "-"))
