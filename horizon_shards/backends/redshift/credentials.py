"""Passwords that AWS makes for a short time: of a cluster, or of a Serverless workgroup; extra ``redshift-iam``."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

#: A password that ends sooner than this is not used for a new connection.
MARGIN_SECONDS = 60
NAMES = ("cluster", "workgroup", "region", "profile", "endpoint", "duration_seconds", "auto_create", "groups")


class Credentials(NamedTuple):
    """A user and its password, until ``ends``."""

    user: str
    password: str
    ends: dt.datetime


_known: dict[tuple[Any, ...], Credentials] = {}
_lock = threading.Lock()


def credentials_of(alias: str, settings: Mapping[str, Any]) -> Credentials:
    """What a database of ``settings`` with ``OPTIONS["iam"]`` is connected to with; asks AWS where nothing is known.

    Raises ``ImproperlyConfigured`` for options that are unknown or missing, and boto3's errors.
    """
    options = _checked(alias, settings["OPTIONS"]["iam"])
    key = (alias, settings["NAME"], settings["USER"], repr(sorted(options.items())))
    with _lock:
        found = _known.get(key)
        soonest = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=MARGIN_SECONDS)
        if found is None or found.ends <= soonest:
            found = _known[key] = _ask(options, settings["NAME"], settings["USER"])
        return found


def _checked(alias: str, options: Mapping[str, Any]) -> dict[str, Any]:
    for name in options:
        if name not in NAMES:
            raise ImproperlyConfigured(
                f"DATABASES[{alias!r}]['OPTIONS']['iam'] has the unknown name {name!r}; known are {', '.join(NAMES)}."
            )
    if ("cluster" in options) == ("workgroup" in options):
        raise ImproperlyConfigured(
            f"DATABASES[{alias!r}]['OPTIONS']['iam'] needs a 'cluster', or a 'workgroup' of Redshift Serverless."
        )
    return dict(options)


def _ask(options: dict[str, Any], database: str, user: str) -> Credentials:
    seconds = options.get("duration_seconds", 900)
    if "workgroup" in options:
        answer = _client("redshift-serverless", options).get_credentials(
            workgroupName=options["workgroup"], dbName=database, durationSeconds=seconds
        )
        return Credentials(answer["dbUser"], answer["dbPassword"], answer["expiration"])
    client, asked = _client("redshift", options), {"DbName": database, "ClusterIdentifier": options["cluster"]}
    if not user:
        answer = client.get_cluster_credentials_with_iam(**asked, DurationSeconds=seconds)
    else:
        more = {"AutoCreate": options.get("auto_create", False), "DbGroups": list(options.get("groups", ()))}
        answer = client.get_cluster_credentials(**asked, **more, DbUser=user, DurationSeconds=seconds)
    return Credentials(answer["DbUser"], answer["DbPassword"], answer["Expiration"])


def _client(service: str, options: dict[str, Any]) -> Any:
    try:
        import boto3
    except ImportError as error:
        raise ImproperlyConfigured("OPTIONS['iam'] needs boto3: pip install 'horizon-shards[redshift-iam]'.") from error
    session = boto3.Session(profile_name=options.get("profile"), region_name=options.get("region"))
    return session.client(service, endpoint_url=options.get("endpoint"))
