"""The example's settings, with a folder of this run's own for the databases."""

import os
import tempfile

for name in ("SECRET_KEY", "DATABASE_URL", "DIRECTORY_URL", "SHARD_URLS", "TRACK_URL", "DATA_DIR"):
    os.environ.pop(name, None)
os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="horizon_example_")
os.environ["DEBUG"] = "1"

from config.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
