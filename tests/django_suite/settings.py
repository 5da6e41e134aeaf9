"""Settings of Django's suite: one SQLite database (``plain``), or three SQLite shards behind ``default``.

``DJANGO_SUITE_MODE`` says which. All databases are in memory. ``other`` is a plain database in every mode: a model
lives in one logical database, and Django's tests use the same models on both aliases.
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

DATABASES: dict[str, dict[str, Any]] = {"default": dict(SQLITE), "other": dict(SQLITE)}
if MODE != "plain":
    DATABASES |= {f"shard_{n}": dict(SQLITE) for n in range(SHARDS)}
    DATABASES["default"] = {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {f"shard-{n}": {"PRIMARY": f"shard_{n}"} for n in range(SHARDS)},
        "MAPPING": {"OPTIONS": {"BUCKETS": 64}},
        "SCATTER": "allow",
        "FEDERATION": {"MAX_ROWS": 100_000},
    }
