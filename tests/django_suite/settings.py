"""Settings of Django's suite: one SQLite database (``plain``), three SQLite shards behind ``default``, or Redshift.

``DJANGO_SUITE_MODE`` says which. SQLite is in memory; ``redshift`` is the strict local one, on the PostgreSQL that
``REDSHIFT_HOST``, ``REDSHIFT_PORT``, ``REDSHIFT_USER`` and ``REDSHIFT_PASSWORD`` name.
``other`` is a plain database in every mode: a model lives in one logical database, and Django's tests use the same
models on both aliases.
"""

from __future__ import annotations

import os
from typing import Any

MODE = os.environ.get("DJANGO_SUITE_MODE", "plain")
SHARDS = 3
SQLITE = {"ENGINE": "django.db.backends.sqlite3"}

SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = False
TEST_RUNNER = "tests.django_suite.recording.RecordingRunner"


def redshift(alias: str) -> dict[str, Any]:
    """A strict local Redshift; each module of tests has databases of its own."""
    server = {name: os.environ.get(f"REDSHIFT_{name}", "") for name in ("PORT", "PASSWORD")}
    return {
        "ENGINE": "horizon_shards.testing.redshift",
        "NAME": f"suite_{alias}_{os.getpid()}",
        "HOST": os.environ.get("REDSHIFT_HOST", "127.0.0.1"),
        "USER": os.environ.get("REDSHIFT_USER", "postgres"),
        **server,
    }


DATABASES: dict[str, dict[str, Any]] = {"default": dict(SQLITE), "other": dict(SQLITE)}
if MODE == "redshift":
    DATABASES = {alias: redshift(alias) for alias in DATABASES}
elif MODE != "plain":
    DATABASES |= {f"shard_{n}": dict(SQLITE) for n in range(SHARDS)}
    DATABASES["default"] = {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {f"shard-{n}": {"PRIMARY": f"shard_{n}"} for n in range(SHARDS)},
        "MAPPING": {"OPTIONS": {"BUCKETS": 64}},
        "SCATTER": "allow",
        "FEDERATION": {"MAX_ROWS": 100_000},
    }
