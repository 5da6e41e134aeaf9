"""Every answer of the router: stable, about the model alone, and no where it means no."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.db import router
from django.db.migrations.state import ModelState, ProjectState

from horizon_shards.models import Assignment, Block, Bucket, Decision
from horizon_shards.routers import ShardRouter
from tests.changed_databases import limited
from tests.shop.models import Account, Country, Customer, Entry, Invoice, Session, Site, Tag, Visit, Visitor

ROUTER = ShardRouter()
TRACK = ("track", "track_1", "track_2", "track_3", "track_4")
CRM = ("crm", "crm_a", "crm_b", "crm_full")
LOG = ("log", "log_1", "log_2")
UNSHARDED = ("default", "directory", "oracle")
EVERYWHERE = (*UNSHARDED, *TRACK, *CRM, *LOG)


def where(app: str, label: str | None = None, **hints: object) -> dict[str, bool | None]:
    """What ``allow_migrate`` says of each database."""
    return {alias: ROUTER.allow_migrate(alias, app, label, **hints) for alias in EVERYWHERE}


def only(aliases: tuple[str, ...], rest: bool | None = False) -> dict[str, bool | None]:
    """Yes for these databases, ``rest`` for the others."""
    return {alias: True if alias in aliases else rest for alias in EVERYWHERE}


def proxy_of(model: type) -> type:
    """A proxy, made without registering it twice."""
    name = f"Proxy{model.__name__}"
    registered = model._meta.apps.all_models["shop"].get(name.lower())
    meta = type("Meta", (), {"proxy": True, "app_label": "shop"})
    return registered or type(name, (model,), {"__module__": __name__, "Meta": meta})


def historical(model: type) -> type:
    """The model as a migration sees it: no ``Sharding``, no base of ours."""
    state = ProjectState()
    bare = ModelState(model._meta.app_label, model.__name__, [("id", model._meta.pk.clone())])
    state.add_model(bare)
    return state.apps.get_model(model._meta.label)


# Where to read and write.


@pytest.mark.parametrize(
    ("model", "database"),
    [(Visit, "track"), (Country, "track"), (Account, "track"), (Invoice, "track"), (Customer, "crm"), (Entry, "log")],
)
def test_sharded_and_reference_models_have_their_logical_database(model: type, database: str) -> None:
    for hints in ({}, {"instance": None}, {"instance": Site()}, {"instance": model()}):
        for _ in range(3):
            assert ROUTER.db_for_read(model, **hints) == database
            assert ROUTER.db_for_write(model, **hints) == database
    assert router.db_for_read(model) == router.db_for_write(model) == database


def test_unsharded_models_are_left_to_other_routers() -> None:
    for model in (Site, User, Group):
        assert ROUTER.db_for_read(model) is None
        assert ROUTER.db_for_write(model) is None
        assert router.db_for_read(model) == "default"


@pytest.mark.parametrize("alias", ["track", "track_2"])
def test_an_unsharded_model_reached_from_a_sharded_row_goes_home(alias: str) -> None:
    visit = Visit()
    visit._state.db = alias
    assert ROUTER.db_for_read(Site, instance=visit) == "default"
    assert ROUTER.db_for_write(Site, instance=visit) == "default"
    assert router.db_for_read(User, instance=visit) == "default"


def test_an_unsharded_row_keeps_its_own_database() -> None:
    site = Site()
    site._state.db = "oracle"
    assert ROUTER.db_for_read(Site, instance=site) is None
    assert router.db_for_read(Site, instance=site) == "oracle"
    assert router.db_for_read(Site, instance=Visit()) == "default"


def test_proxies_and_historical_models_are_their_models() -> None:
    assert ROUTER.db_for_read(proxy_of(Tag)) == "track"
    assert ROUTER.db_for_write(historical(Tag)) == "track"
    assert ROUTER.db_for_write(historical(Country)) == "track"
    assert ROUTER.db_for_write(historical(Site)) is None
    assert not hasattr(historical(Tag), "Sharding")


# Relations.


def at(instance: object, alias: str | None) -> object:
    """The instance as if it had been read from a database."""
    instance._state.db = alias
    return instance


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        (at(Visit(), "track"), at(Visitor(), "track"), True),
        (at(Visit(), "track"), at(Visitor(), "track_3"), True),
        (at(Visit(), None), at(Visitor(), "track"), True),
        (at(Visit(), "track"), at(Site(), "default"), True),
        (at(Site(), "default"), at(Visit(), "track"), True),
        (at(Customer(), "crm"), at(Visit(), "track"), True),
        (at(Visit(), "oracle"), at(Visitor(), "track"), False),
        (at(Visit(), "crm"), at(Site(), "default"), False),
        (at(Site(), "default"), at(Tag(), "oracle"), False),
        (at(Site(), "default"), at(User(), "oracle"), None),
    ],
)
def test_relations_hold_between_rows_at_home(one: object, other: object, answer: bool | None) -> None:
    assert ROUTER.allow_relation(one, other) is answer


# Migrations.


@pytest.mark.parametrize(
    ("label", "aliases"),
    [("visit", TRACK), ("country", TRACK), ("session", TRACK), ("customer", CRM), ("entry", LOG)],
)
def test_tables_of_a_group_are_on_its_shards_alone(label: str, aliases: tuple[str, ...]) -> None:
    assert where("shop", label) == only(aliases)
    assert where("shop", label.title()) == only(aliases)


def test_tables_of_unsharded_models_are_on_no_shard() -> None:
    for app, label in (("shop", "site"), ("auth", "user"), ("contenttypes", "contenttype"), ("gone", "thing")):
        assert where(app, label) == {alias: None if alias in UNSHARDED else False for alias in EVERYWHERE}


def test_the_directory_has_its_tables_and_no_other_database() -> None:
    for model in (Assignment, Bucket, Block, Decision):
        assert where("horizon_shards", model._meta.model_name) == only(("directory",))
    assert where("horizon_shards") == only(("directory",))


def test_models_that_only_old_migrations_know() -> None:
    assert where("shop", "forgotten") == only(TRACK)
    assert where("shop", "Forgotten") == only(TRACK)
    with limited("track", historical_models=frozenset()):
        assert where("shop", "forgotten") == {alias: None if alias in UNSHARDED else False for alias in EVERYWHERE}


def test_historical_models_as_hints() -> None:
    assert where("shop", "tag", model=historical(Tag)) == only(TRACK)
    assert where("shop", None, model=historical(Tag)) == only(TRACK)


def test_operations_without_a_model_run_where_the_app_has_models() -> None:
    """RunPython and RunSQL without hints: the app ``shop`` has sharded and unsharded models."""
    assert where("shop") == only((*TRACK, *CRM, *LOG), rest=None)
    assert where("auth") == {alias: None if alias in UNSHARDED else False for alias in EVERYWHERE}
    assert where("no_such_app") == {alias: None if alias in UNSHARDED else False for alias in EVERYWHERE}


def test_operations_without_a_model_run_where_their_hint_says() -> None:
    assert where("shop", None, database="track") == only(TRACK)
    assert where("shop", None, database="default") == only(("default",))
    assert where("auth", None, database="crm") == only(CRM)
    assert where("shop", None, database="track_2") == only(TRACK)


def test_what_the_routers_say_together() -> None:
    assert router.allow_migrate_model("track", Session)
    assert router.allow_migrate_model("track_1", Session)
    assert not router.allow_migrate_model("default", Session)
    assert router.allow_migrate_model("default", Site)
    assert not router.allow_migrate_model("track", Site)
