"""Settings of the Redshift tests: the strict local Redshift, and SQLite, which ignores what is Redshift's.

``REDSHIFT_DRIVER=psycopg2`` hides psycopg 3 from Django.
"""

from __future__ import annotations

import os
import sys
from typing import Any

if os.environ.get("REDSHIFT_DRIVER") == "psycopg2":
    sys.modules["psycopg"] = None  # type: ignore[assignment]

SERVER: dict[str, Any] = {
    "HOST": os.environ.get("REDSHIFT_HOST", "127.0.0.1"),
    "PORT": os.environ.get("REDSHIFT_PORT", ""),
    "USER": os.environ.get("REDSHIFT_USER", "postgres"),
    "PASSWORD": os.environ.get("REDSHIFT_PASSWORD", ""),
}

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["horizon_shards", "tests.redshift.warehouse", "tests.redshift.fleet"]
DATABASE_ROUTERS = ["horizon_shards.routers.ShardRouter"]
RUN = f"{os.environ.get('REDSHIFT_DRIVER', 'psycopg')}_{sys.version_info[1]}"


def redshift(name: str) -> dict[str, Any]:
    """A strict local Redshift."""
    test = {"NAME": f"{name}_test_{RUN}"}
    return {"ENGINE": "horizon_shards.testing.redshift", "NAME": name, "TEST": test, **SERVER}


DATABASES: dict[str, dict[str, Any]] = {
    "default": redshift("horizon_redshift"),
    "fleet": {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {f"fleet-{n}": {"PRIMARY": f"fleet_{n}"} for n in (1, 2)},
        "MAPPING": {"OPTIONS": {"BUCKETS": 64}},
        "DIRECTORY": "elsewhere",
        "SCATTER": "allow",
    },
    "fleet_1": redshift("horizon_fleet_1"),
    "fleet_2": redshift("horizon_fleet_2"),
    "elsewhere": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
