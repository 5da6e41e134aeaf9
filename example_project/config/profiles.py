"""Where the profiles of visitors are, read from the environment: the database, or DynamoDB."""

from __future__ import annotations

from typing import Any

from config import environment


def read_profiles() -> dict[str, Any]:
    """``VISITOR_PROFILES``: those that the stored views make; with ``DYNAMODB_PREFIX`` tables of DynamoDB."""
    days = environment.whole("PROFILE_DAYS", 30)
    prefix = environment.text("DYNAMODB_PREFIX")
    if not prefix:
        return {"BACKEND": "track.profiles.database.DatabaseProfiles", "DAYS": days, "OPTIONS": {}}
    options = {
        "PREFIX": prefix,
        "ENDPOINT": environment.text("DYNAMODB_ENDPOINT") or None,
        "TIMEOUT_SECONDS": environment.whole("DYNAMODB_TIMEOUT_SECONDS", 2),
    }
    return {"BACKEND": "track.profiles.dynamodb.DynamoProfiles", "DAYS": days, "OPTIONS": options}
