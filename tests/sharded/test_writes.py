"""Inserts, updates and deletes through the logical alias."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connections
from django.db.models import Case, CharField, F, Value, When
from django.db.models.deletion import ProtectedError
from django.db.models.functions import Cast, Now
from django.db.transaction import atomic

from horizon_shards import allow_scatter
from horizon_shards.context import allow_one_copy, using_shard
from horizon_shards.declarations import key_of
from horizon_shards.exceptions import InvalidShardKey, MisplacedRow, QueryNotSupported, ShardKeyUpdate
from horizon_shards.models import move_row
from horizon_shards.testing import assert_shards, assert_single_shard, capture_shards
from horizon_shards.topology import get_group
from tests.shop.models import Basket, Country, Customer, Invoice, Site, Tag, Tagging, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm"])


def rows_by_shard(model: type) -> dict[str, set[object]]:
    """What each shard of ``track`` really holds."""
    found = {}
    for shard, alias in get_group("track").primaries.items():
        with using_shard(shard):
            found[shard] = set(model._base_manager.values_list("pk", flat=True))
        assert alias in connections
    return found


def test_each_row_is_on_the_shard_of_its_key(visits: list[Visit]) -> None:
    held = rows_by_shard(Visit)
    assert sum(map(len, held.values())) == 60
    mapping = get_group("track").mapping
    for shard, pks in held.items():
        with using_shard(shard):
            assert {mapping.resolve(key_of(visit)) for visit in Visit.objects.all()} <= {shard}
        assert pks == set() or shard in held


def test_bulk_create_keeps_the_order_of_the_objects(sites: list[Site]) -> None:
    objects = [Tag(site=site, name=f"t{n}") for n in range(3) for site in sites]
    made = Tag.objects.bulk_create(objects)
    assert made == objects
    assert {tag.pk: tag.name for tag in Tag.objects.all()} == {tag.pk: tag.name for tag in objects}
    assert {tag._state.db for tag in made} == {"track"}


def test_saving_and_deleting_touch_one_shard(visits: list[Visit]) -> None:
    visit = Visit.objects.get(pk=visits[0].pk)
    with assert_single_shard():
        visit.path = "/changed"
        visit.save()
        visit.ms = F("ms") + 1
        visit.save(update_fields=["ms"])
        visit.refresh_from_db()
        assert (visit.path, visit.ms) == ("/changed", 1)
        assert visit.delete() == (1, {"shop.Visit": 1})
    assert Visit.objects.count() == 59


def test_an_id_that_tells_no_shard_is_saved_and_deleted_on_one_all_the_same(db: None) -> None:
    customers = [Customer.objects.create(tenant=f"tenant {n}", name="x") for n in range(6)]
    for customer in customers:
        with assert_single_shard():
            customer.name = "y"
            customer.save()
            customer.refresh_from_db()
            customer.delete()
    with allow_scatter():
        assert Customer.objects.count() == 0


def test_a_key_changed_in_memory_loses_nothing(db: None) -> None:
    customer = Customer.objects.create(tenant="a", name="x")
    other = next(f"t{n}" for n in range(50) if _shard_of(f"t{n}") != _shard_of("a"))
    customer.tenant = other
    with pytest.raises(ShardKeyUpdate, match="move_row"), atomic(using="crm"), allow_scatter():
        customer.save()
    with allow_scatter():
        assert list(Customer.objects.values_list("tenant", flat=True)) == ["a"]
        customer.refresh_from_db()
        assert customer.tenant == "a"
        customer.tenant = other
        assert customer.delete()[0] == 1
        assert not Customer.objects.exists()


def _shard_of(tenant: str) -> str:
    return get_group("crm").mapping.place(tenant)


def test_updating_the_key_is_refused_and_nothing_doubled(sites: list[Site], visits: list[Visit]) -> None:
    visit = visits[0]
    for other in sites[1:6]:
        visit.site = other
        with pytest.raises(ShardKeyUpdate, match="move_row"), atomic(using="track"):
            visit.save()
    with pytest.raises(ShardKeyUpdate, match="move_row"), atomic(using="track"):
        Visit.objects.filter(pk=visit.pk).update(site=sites[3])
    with pytest.raises(ShardKeyUpdate, match="sharded id"), atomic(using="track"):
        Visit.objects.filter(pk=visit.pk).update(id=5)
    with pytest.raises(ShardKeyUpdate, match="update_fields names 'site'"), atomic(using="track"):
        targets = connections["track"].features.supports_update_conflicts_with_target
        Visit.objects.bulk_create(
            [visit], update_conflicts=True, unique_fields=["id"] if targets else None, update_fields=["site"]
        )
    assert Visit.objects.count() == 60
    assert Visit.objects.get(pk=visit.pk).site_id == sites[0].pk


def test_a_row_moves_by_the_call_that_the_error_names(sites: list[Site]) -> None:
    tag = Tag.objects.create(site=sites[0], name="x")
    moved = move_row(tag, site=sites[5])
    assert Tag.objects.get() == moved
    assert Tag.objects.filter(site=sites[5]).get().name == "x"
    customer = Customer.objects.create(tenant="a", name="x")
    for tenant in ("b", "c", "d", "e"):
        moved = move_row(customer, tenant=tenant)
        assert (moved.pk, customer.pk) == (customer.pk, moved.pk)
        customer = moved
        with allow_scatter():
            assert Customer.objects.get().tenant == tenant


def test_a_row_that_others_refer_to_does_not_move_alone(sites: list[Site], visits: list[Visit]) -> None:
    with pytest.raises(MisplacedRow, match=r"shop.Visit.visitor"):
        move_row(visits[0].visitor, site=sites[4])
    assert Visitor.objects.count() == 12


def test_keys_that_are_no_keys(sites: list[Site]) -> None:
    with pytest.raises(InvalidShardKey, match="site=None"), atomic(using="track"):
        Tag.objects.bulk_create([Tag(id=1, site=None, name="x")])
    with pytest.raises(InvalidShardKey), atomic(using="track"):
        Tag.objects.create(name="x")
    with pytest.raises(InvalidShardKey), atomic(using="track"):
        Tag.objects.create(site_id="not a number", name="x")
    assert Tag.objects.count() == 0


@pytest.mark.parametrize("key", [0, -1, 2**63 - 1])
def test_keys_at_the_edges(db: None, key: int) -> None:
    if key == 0 and not connections["track"].features.allows_auto_pk_0:
        pytest.skip("Django refuses 0 as the key of an automatic field on this engine")
    tag = Tag.objects.create(site_id=key, name="x")
    with assert_single_shard():
        assert Tag.objects.get(site_id=key) == tag


def test_an_empty_string_is_a_key(db: None) -> None:
    Customer.objects.create(tenant="", name="x")
    with assert_single_shard():
        assert Customer.objects.get(tenant="").name == "x"


def test_an_id_of_another_key_is_refused(sites: list[Site]) -> None:
    tag = Tag.objects.create(site=sites[0], name="x")
    mapping = get_group("track").mapping
    other = next(site for site in sites if mapping.bucket(site.pk) != mapping.bucket(sites[0].pk))
    with pytest.raises(MisplacedRow, match="Leave the id out"), atomic(using="track"):
        Tag.objects.bulk_create([Tag(id=tag.pk, site=other, name="y")])


def test_update_and_delete_over_shards(visits: list[Visit]) -> None:
    assert Visit.objects.filter(ms__gte=3).update(ms=F("ms") + 10) == 24
    assert Visit.objects.filter(ms__gte=13).count() == 24
    assert Visit.objects.filter(visitor__name__startswith="visitor", ms=0).update(path="/zero") == 12
    assert Visit.objects.filter(path="/zero").delete() == (12, {"shop.Visit": 12})
    assert Visitor.objects.all().delete()[1] == {"shop.Visit": 48, "shop.Visitor": 12}
    assert sum(map(len, rows_by_shard(Visit).values())) == 0


def test_update_with_case_and_bulk_update(visits: list[Visit]) -> None:
    Visit.objects.update(path=Case(When(ms=0, then=Value("/a")), default=Value("/b")))
    assert Visit.objects.filter(path="/a").count() == 12
    for visit in visits:
        visit.ms = 100
    assert Visit.objects.bulk_update(visits, ["ms"], batch_size=7) == 60
    assert Visit.objects.filter(ms=100).count() == 60


def test_get_or_create_and_update_or_create(sites: list[Site]) -> None:
    with assert_single_shard():
        tag, made = Tag.objects.get_or_create(site=sites[0], name="x")
        assert made
        assert Tag.objects.get_or_create(site=sites[0], name="x") == (tag, False)
    tag, made = Tag.objects.update_or_create(site=sites[0], name="x", defaults={"name": "y"})
    assert (tag.name, made) == ("y", False)
    assert Tag.objects.update_or_create(site=sites[1], name="z")[1]


def test_ignored_conflicts(sites: list[Site], visits: list[Visit]) -> None:
    again = [Visit(site=v.site, visitor=v.visitor, path="/", token=v.token) for v in visits]
    Visit.objects.bulk_create(again, ignore_conflicts=True)
    assert Visit.objects.count() == 60
    with pytest.raises(IntegrityError, match="shard 'track-"), atomic(using="track"):
        Visit.objects.bulk_create(again[:1])


def test_an_upsert(visits: list[Visit]) -> None:
    if not connections["track"].features.supports_update_conflicts_with_target:
        pytest.skip("the engine has no upsert with a target")
    again = [Visit(site=v.site, visitor=v.visitor, path="/new", token=v.token) for v in visits]
    Visit.objects.bulk_create(again, update_conflicts=True, unique_fields=["site", "token"], update_fields=["path"])
    assert Visit.objects.filter(path="/new").count() == 60


def test_many_to_many_through_a_sharded_model(visits: list[Visit]) -> None:
    tags = [Tag.objects.create(site=visit.site, name="x") for visit in visits[::5]]
    for visit, tag in zip(visits[::5], tags, strict=True):
        Tagging.objects.create(site=visit.site, visit=visit, tag=tag)
    assert Visit.objects.filter(tags__name="x").count() == 12
    assert visits[0].tags.get() == tags[0]
    assert [len(visit.tags.all()) for visit in Visit.objects.filter(ms=0).prefetch_related("tags")] == [1] * 12


def test_reference_rows_are_the_same_on_every_shard(db: None) -> None:
    country = Country.objects.create(code="fr", name="France")
    Country.objects.bulk_create([Country(code="es", name="Spain"), Country(code="it", name="Italy")])
    assert set(map(frozenset, rows_by_shard(Country).values())) == {
        frozenset(Country.objects.values_list("pk", flat=True))
    }
    country.name = "République"
    country.save()
    assert Country.objects.filter(code="it").update(name="Italia") == 1
    assert Country.objects.filter(code="es").delete() == (1, {"shop.Country": 1})
    for shard in get_group("track").shard_names:
        with using_shard(shard):
            assert sorted(Country.objects.values_list("code", "name")) == [("fr", "République"), ("it", "Italia")]


def test_the_time_of_the_database_is_computed_once_for_all_copies(db: None) -> None:
    for code in ("de", "fr"):
        Country.objects.create(code=code, name="x")
    assert Country.objects.filter(code="de").update(name=Cast(Now(), CharField())) == 1
    assert Country.objects.annotate(now=Now()).filter(now__lte=Now(), code="fr").update(name="y") == 1
    names = set()
    for shard in get_group("track").shard_names:
        with using_shard(shard):
            names.add(tuple(Country.objects.order_by("code").values_list("name", flat=True)))
    ((time, other),) = names
    assert time.startswith("20")
    assert other == "y"


def test_an_unsharded_parent_takes_its_children_on_the_shards_along(sites: list[Site], visits: list[Visit]) -> None:
    removed = sites[0].delete()
    assert removed[1]["shop.Site"] == 1
    assert removed[1]["shop.Visit"] == 5
    assert (Visit.objects.count(), Visitor.objects.count()) == (55, 11)


def test_a_protected_parent_and_one_that_is_set_null(sites: list[Site], visits: list[Visit]) -> None:
    from django.contrib.auth.models import User

    Invoice.objects.create(site=sites[1], number=1, total=3)
    with pytest.raises(ProtectedError, match="Invoice"):
        sites[1].delete()
    assert Visit.objects.filter(site=sites[1]).count() == 5
    editor = User.objects.create(username="editor")
    Visit.objects.filter(ms=1).update(editor=editor)
    editor.delete()
    assert Visit.objects.filter(editor=None).count() == 60


def test_inserting_in_a_pinned_block(sites: list[Site]) -> None:
    tag = Tag.objects.create(site=sites[0], name="x")
    mapping = get_group("track").mapping
    home = mapping.resolve(sites[0].pk)
    away = next(shard for shard in get_group("track").shard_names if shard != home)
    with using_shard(away), pytest.raises(MisplacedRow, match="using_shard"), atomic(using="track"):
        Tag.objects.create(site=sites[0], name="y")
    with using_shard(home):
        Tag.objects.create(site=sites[0], name="y")
        assert Tag.objects.count() == 2
    assert tag in Tag.objects.all()


def test_writes_to_several_shards_name_them_to_the_listener(sites: list[Site]) -> None:
    with capture_shards() as captured:
        Tag.objects.bulk_create([Tag(site=site, name="x") for site in sites])
    assert len(captured.shards) > 1
    with assert_shards(len(captured.shards)):
        Tag.objects.bulk_create([Tag(site=site, name="x") for site in sites])


def test_the_default_of_a_uuid_is_kept(db: None) -> None:
    pk = uuid.uuid4()
    Customer.objects.create(pk=pk, tenant="a", name="x")
    assert Customer.objects.filter(tenant="a").get().pk == pk


def test_an_automatic_many_to_many_table(sites: list[Site]) -> None:
    baskets = [Basket.objects.create(site=site) for site in sites]
    tags = [Tag.objects.create(site=site, name=f"tag {site.pk}") for site in sites]
    for basket, tag in zip(baskets, tags, strict=True):
        with assert_single_shard():
            basket.tags.add(tag)
            assert basket.tags.get() == tag
    assert [[tag.name for tag in b.tags.all()] for b in Basket.objects.prefetch_related("tags").order_by("pk")] == [
        [tag.name] for tag in tags
    ]
    assert Basket.objects.filter(tags__name=tags[3].name).get() == baskets[3]
    baskets[0].tags.clear()
    through = Basket.tags.through
    assert through.objects.count() == 11
    with pytest.raises(QueryNotSupported, match="numbered by each shard"), atomic(using="track"):
        through.objects.filter(pk=1).delete()
    assert through.objects.count() == 11
    assert baskets[1].delete()[0] == 2
    assert (through.objects.count(), Tag.objects.count()) == (10, 12)


def test_copies_of_a_reference_row_cannot_be_made_to_differ(visits: list[Visit]) -> None:
    for queryset in (
        Country.objects.filter(visit__ms__gt=1),
        Country.objects.filter(visit__site=visits[0].site_id),
    ):
        with pytest.raises(QueryNotSupported, match=r"copies differ|subquery"), atomic(using="track"):
            queryset.update(name="X")
    assert Country.objects.filter(pk__in=[visits[0].country_id]).update(name="X") == 1


def test_one_copy_of_a_reference_model_is_not_changed_by_itself(db: None) -> None:
    france = Country.objects.create(code="fr", name="France")
    spain = Country(code="es", name="Spain")
    writes: list[Callable[[], object]] = [
        spain.save,
        france.save,
        france.delete,
        lambda: Country.objects.bulk_create([spain]),
        lambda: Country.objects.update(name="x"),
        lambda: Country.objects.filter(code="fr").delete(),
    ]
    for write in writes:
        refused = pytest.raises(QueryNotSupported, match="the copy of this shard alone")
        with using_shard("track-2"), refused as caught, atomic(using="track"):
            write()
        assert caught.value.reason == "reference-write"
    assert set(map(frozenset, rows_by_shard(Country).values())) == {frozenset({france.pk})}
    for shard in get_group("track").shard_names:
        with using_shard(shard), allow_one_copy():
            Country.objects.update(name=shard)
            assert Country.objects.get().name == shard
