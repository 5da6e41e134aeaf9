"""``ATOMIC_REQUESTS`` on a logical database: each request is a transaction on the shards that it touches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.urls import path

from horizon_shards.signals import cross_shard_transaction
from horizon_shards.topology import get_group
from tests.listening import heard
from tests.sharded.rows import make_sites
from tests.shop.models import Site, Tag

pytestmark = pytest.mark.django_db(databases=["default", "track"], transaction=True)


class Mistake(Exception):
    """What the views raise that are told to."""


def routed(request: HttpRequest) -> HttpResponse:
    """Write to the shard of one website, and read it again."""
    site = int(request.GET["site"])
    Tag.objects.create(site_id=site, name="x")
    return _answer(request, Tag.objects.filter(site_id=site).count())


def scattering(request: HttpRequest) -> HttpResponse:
    """Write to all shards, and count over all."""
    Tag.objects.bulk_create([Tag(site_id=site, name="x") for site in Site.objects.values_list("pk", flat=True)])
    Tag.objects.update(name="y")
    return _answer(request, Tag.objects.count())


def _answer(request: HttpRequest, count: int) -> HttpResponse:
    if "fail" in request.GET:
        raise Mistake
    return JsonResponse({"count": count, "in_atomic_block": connections["track"].in_atomic_block})


@transaction.non_atomic_requests(using="track")
def on_its_own(request: HttpRequest, kind: str) -> HttpResponse:
    """As the others, without a transaction of the request."""
    return routed(request) if kind == "routed" else scattering(request)


urlpatterns = [
    path("routed/", routed),
    path("scattering/", scattering),
    path("own/<str:kind>/", on_its_own),
]


@pytest.fixture
def client(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    settings.ROOT_URLCONF = __name__
    monkeypatch.setitem(connections.settings["track"], "ATOMIC_REQUESTS", True)
    return Client(raise_request_exception=False)


@pytest.fixture
def outcomes() -> Iterator[list[str]]:
    """What became of the transactions that wrote to several shards."""
    with heard(cross_shard_transaction, "outcome") as told:
        yield told


@pytest.fixture
def site(db: None) -> Site:
    """One of sixty websites, so that every shard has some."""
    return make_sites(60)[0]


def is_at_rest() -> bool:
    """Whether no connection is in a transaction."""
    logical: Any = connections["track"]
    shards = map(logical.shard_connection, get_group("track").shard_names)
    return all(connection.autocommit and not connection.in_atomic_block for connection in (logical, *shards))


def test_a_request_is_committed_at_its_end(client: Client, site: Site, outcomes: list[str]) -> None:
    assert client.get(f"/routed/?site={site.pk}").json() == {"count": 1, "in_atomic_block": True}
    assert client.get("/scattering/").json() == {"count": 61, "in_atomic_block": True}
    assert is_at_rest()
    assert Tag.objects.filter(name="y").count() == 61
    assert outcomes == ["committed"]


def test_a_request_that_raises_is_rolled_back_on_every_shard(client: Client, site: Site, outcomes: list[str]) -> None:
    for url in (f"/routed/?site={site.pk}&fail", "/scattering/?fail"):
        assert client.get(url).status_code == 500
        assert is_at_rest()
        assert Tag.objects.count() == 0
    assert outcomes == ["rolled_back"]


def test_a_view_may_do_without(client: Client, site: Site) -> None:
    assert client.get(f"/own/routed/?site={site.pk}").json() == {"count": 1, "in_atomic_block": False}
    assert client.get(f"/own/routed/?site={site.pk}&fail").status_code == 500
    assert Tag.objects.count() == 2
    assert client.get("/own/scattering/?fail").status_code == 500
    assert Tag.objects.filter(name="y").count() == 62
    assert is_at_rest()
