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
INSTALLED_APPS = ["horizon_shards", "tests.redshift.warehouse"]
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "horizon_shards.testing.redshift",
        "NAME": "horizon_redshift",
        "TEST": {"NAME": f"horizon_redshift_test_{os.environ.get('REDSHIFT_DRIVER', 'psycopg')}_{sys.version_info[1]}"},
        **SERVER,
    },
    "elsewhere": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
