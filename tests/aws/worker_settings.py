"""Settings of the worker processes that the tests start: a database file and the backend, by the environment."""

from __future__ import annotations

import json
import os

SECRET_KEY = "tests"
USE_TZ = True
INSTALLED_APPS = ["horizon_shards.queues"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["QUEUE_DATABASE"],
        "OPTIONS": {"timeout": 60, "transaction_mode": "IMMEDIATE"},
    }
}
TASKS = json.loads(os.environ["QUEUE_TASKS"])
