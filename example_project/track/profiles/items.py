"""The two tables of DynamoDB, as models of PynamoDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute, UTCDateTimeAttribute, VersionAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

Item = TypeVar("Item", bound=Model)
#: Whoever waits for a profile waits for a beacon; PynamoDB's own time-outs are 15 and 30 seconds.
TIMEOUT_SECONDS, RETRIES, CONNECTIONS = 2, 1, 50


class LatestOfSite(GlobalSecondaryIndex["VisitorItem"]):
    """The visitors of a website by the time they were last seen."""

    class Meta:
        index_name = "latest_of_site"
        projection = AllProjection()

    site = NumberAttribute(hash_key=True)
    last_seen = UTCDateTimeAttribute(range_key=True)


class VisitorItem(Model):
    """One visitor of one website on one day. Of two who write at once the later one is refused, by ``version``."""

    #: ``site/visitor``: so the visitors of a busy website are spread over all partitions.
    key = UnicodeAttribute(hash_key=True)
    site = NumberAttribute()
    visitor = UnicodeAttribute()
    first_seen = UTCDateTimeAttribute()
    last_seen = UTCDateTimeAttribute()
    views = NumberAttribute(default=0)
    browser = UnicodeAttribute(default="")
    system = UnicodeAttribute(default="")
    device = UnicodeAttribute(default="")
    expires = TTLAttribute()
    version = VersionAttribute()
    latest = LatestOfSite()


class ClaimItem(Model):
    """One event that has been counted."""

    key = UnicodeAttribute(hash_key=True)
    expires = TTLAttribute()


def client_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a connection: where DynamoDB is, and how long it may take."""
    seconds = options.get("TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    return {
        "host": options.get("ENDPOINT"),
        "region": options.get("REGION"),
        "connect_timeout_seconds": seconds,
        "read_timeout_seconds": seconds,
        "max_retry_attempts": RETRIES,
        "max_pool_connections": CONNECTIONS,
    }


def bound(model: type[Item], name: str, options: Mapping[str, Any]) -> type[Item]:
    """The model with the table that the settings name."""
    meta = type("Meta", (), {**client_settings(options), "table_name": f"{options['PREFIX']}{name}"})
    return type(model)(model.__name__, (model,), {"Meta": meta, "__module__": model.__module__, "_connection": None})
