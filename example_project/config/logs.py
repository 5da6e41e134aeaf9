"""``LOGGING`` from the environment: each line with the request's id and the shards it has asked, in JSON or to be read.

``LOG_FORMAT``
    ``json``: an object a line; ``console``: for human eyes; ``plain``: Django's own. Default: ``json``; with ``DEBUG``
    ``console``, or ``plain`` where django-structlog is not installed.
``LOG_LEVEL``
    The least that is told. Default: ``INFO``.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import environment

FORMATS, LEVELS = ("json", "console", "plain"), ("DEBUG", "INFO", "WARNING", "ERROR")
#: Each of them would tell once more what the line of the request tells: with the query, and without its id.
TWICE = ("django.request", "django.server")


def read_format(*, debug: bool) -> str:
    """``LOG_FORMAT``; raises ``ImproperlyConfigured`` where it needs a package that is missing."""
    is_there = find_spec("django_structlog") is not None
    default = ("console" if is_there else "plain") if debug else "json"
    chosen = environment.one_of("LOG_FORMAT", *FORMATS, default=default)
    if chosen != "plain" and not is_there:
        raise ImproperlyConfigured(
            f"LOG_FORMAT={chosen} needs django-structlog: pip install 'horizon-shards[example]', or LOG_FORMAT=plain."
        )
    return chosen


def read_logging(chosen: str) -> dict[str, Any]:
    """``LOGGING`` for a format that is not ``plain``, and the same for what structlog's own loggers tell."""
    import structlog

    level = environment.one_of("LOG_LEVEL", *LEVELS, default="INFO")
    every_line = _every_line()
    structlog.configure(
        processors=[_without_starts, *every_line, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    lines = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": every_line,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(chosen)],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": lines},
        "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["lines"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level},
            **{name: {"handlers": [], "level": "CRITICAL", "propagate": False} for name in TWICE},
        },
    }


def _every_line() -> list[Any]:
    """What is added to a line, whoever tells it."""
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]


def _without_starts(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """The line that ends a request tells all but the user agent, which is nobody's business."""
    import structlog

    if event["event"] == "request_started":
        raise structlog.DropEvent
    return event


def _rendering(chosen: str) -> list[Any]:
    """Tracebacks without the values of variables, which may be secrets."""
    import structlog

    if chosen == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
