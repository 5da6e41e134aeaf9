"""What an INSERT puts on every shard of a reference model, and what it refuses for a sharded one."""

from __future__ import annotations

from contextlib import ExitStack
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import DatabaseError, connections, models
from django.db.models import CharField, Max, Subquery, Value
from django.db.models.functions import Cast, Now, Upper
from django.db.transaction import atomic
from django.test.utils import CaptureQueriesContext, isolate_apps

from horizon_shards.context import using_shard
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.fields import ShardedIdField
from horizon_shards.models import ShardedModel
from horizon_shards.topology import get_group
from tests.shop.models import Country, Site, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def countries_on_each_shard() -> list[set[tuple[int, str, str]]]:
    found = []
    for shard in get_group("track").shard_names:
        with using_shard(shard):
            found.append(set(Country.objects.values_list("pk", "code", "name")))
    return found


def assert_copied(count: int) -> None:
    first, *others = countries_on_each_shard()
    assert len(first) == count
    assert all(other == first for other in others)


def test_a_row_that_one_shard_ignores_is_ignored_on_all() -> None:
    Country.objects.create(code="de", name="Germany")
    wanted = [Country(code="fr", name="France"), Country(code="de", name="Twice"), Country(code="it", name="Italy")]
    Country.objects.bulk_create(wanted, ignore_conflicts=True)
    assert_copied(3)
    assert Country.objects.get(code="de").name == "Germany"
    Country.objects.bulk_create([Country(code="de", name="Twice")], ignore_conflicts=True)
    assert_copied(3)


def upsert_countries(*countries: Country) -> None:
    targets = connections["track"].features.supports_update_conflicts_with_target
    unique = ["code"] if targets else None
    Country.objects.bulk_create(countries, update_conflicts=True, unique_fields=unique, update_fields=["name"])


def test_an_upsert_finds_the_row_in_the_way_on_every_shard() -> None:
    """A row in the way keeps its key, whether it changes or not; a new row gets one key on all shards."""
    germany, france = (Country.objects.create(code=code, name=code) for code in ("de", "fr"))
    upsert_countries(
        Country(code="it", name="Italy"), Country(code="de", name="Germany"), Country(code="fr", name="fr")
    )
    assert_copied(3)
    assert Country.objects.get(name="Germany").pk == germany.pk
    assert Country.objects.get(name="fr").pk == france.pk
    upsert_countries(Country(code="it", name="Italia"), Country(code="es", name="Spain"))
    assert_copied(4)
    assert set(Country.objects.values_list("name", flat=True)) == {"Germany", "fr", "Italia", "Spain"}


def test_rows_in_bulk_get_their_keys_on_every_shard_the_same() -> None:
    made = Country.objects.bulk_create([Country(code=f"{n:02}", name=str(n)) for n in range(30)])
    assert_copied(30)
    if connections["track"].features.can_return_rows_from_bulk_insert:
        assert {country.pk for country in made} == set(Country.objects.values_list("pk", flat=True))


@pytest.mark.sqlite_only
def test_rows_in_bulk_are_one_statement_a_shard() -> None:
    with ExitStack() as stack:
        logs = [stack.enter_context(CaptureQueriesContext(connections[f"track_{n}"])) for n in (1, 2, 3, 4)]
        Country.objects.bulk_create([Country(code=f"{n:02}", name=str(n)) for n in range(30)])
    assert [[query["sql"].split()[0] for query in log].count("INSERT") for log in logs] == [1, 1, 1, 1]


def test_copies_are_made_of_models_that_are_not_installed() -> None:
    """Migrations write rows of historical models; ``copy.copy()`` would look the model up among the installed ones."""
    apps.set_available_apps(["django.contrib.contenttypes"])
    try:
        Country.objects.create(code="de", name="Germany")
    finally:
        apps.unset_available_apps()
    assert_copied(1)


def test_an_expression_has_one_value_on_all_shards_or_is_refused() -> None:
    Country.objects.create(code="de", name=Upper(Value("Germany")))
    assert_copied(1)
    late = Country(code="fr", name=Cast(Now(), CharField()))
    if connections["track"].features.can_return_columns_from_insert:
        Country.objects.bulk_create([late, Country(code="it", name="Italy")])
        assert_copied(3)
        return
    with pytest.raises(QueryNotSupported, match="every shard another value"), atomic(using="track"):
        late.save()
    assert_copied(1)


def test_a_value_that_other_shards_would_know_is_refused(sites: list[Site], visits: list[Visit]) -> None:
    highest = Visit.objects.values("bot").annotate(highest=Max("ms")).values("highest")[:1]
    with pytest.raises(QueryNotSupported, match="Fetch the value first"), atomic(using="track"):
        Visit.objects.create(site=sites[0], visitor=visits[0].visitor, path="/x", ms=Subquery(highest))
    named = Country.objects.filter(code="de").values("name")[:1]
    made = Visitor.objects.create(site=sites[0], name=Subquery(named))
    made.refresh_from_db()
    assert made.name == "Germany"


@pytest.mark.sqlite_only
def test_an_upsert_by_what_is_unique_on_one_shard_only_is_refused(sites: list[Site]) -> None:
    visitors = [Visitor(site=site, name="x") for site in sites]
    with pytest.raises(QueryNotSupported, match="is unique on each shard only"), atomic(using="track"):
        Visitor.objects.bulk_create(visitors, update_conflicts=True, update_fields=["name"], unique_fields=["name"])
    Visitor.objects.bulk_create(visitors)
    again = [Visitor(pk=visitor.pk, site=visitor.site, name="y") for visitor in visitors]
    Visitor.objects.bulk_create(again, update_conflicts=True, update_fields=["name"], unique_fields=["pk"])
    assert set(Visitor.objects.values_list("name", flat=True)) == {"y"}
    assert Visitor.objects.count() == len(sites)


@isolate_apps("tests")
def test_what_is_unique_on_one_shard_only_is_not_relied_on(sites: list[Site]) -> None:
    """One database would ignore the row, or update the one in its way; another shard does not see it."""

    class Coupon(ShardedModel):
        id = ShardedIdField(primary_key=True)
        site = models.ForeignKey(Site, models.DO_NOTHING, db_constraint=False)
        code = models.CharField(max_length=9, unique=True)
        token = models.UUIDField(unique=True)

        class Meta:
            app_label = "tests"
            constraints = [models.UniqueConstraint(fields=["site", "code"], name="one_code_a_site")]

        class Sharding:
            database = "track"
            key = "site"

    class Named(ShardedModel):
        name = models.CharField(max_length=9, primary_key=True)
        site = models.IntegerField()

        class Meta:
            app_label = "tests"

        class Sharding:
            database = "track"
            key = "site"

    coupons = [Coupon(site=site, code="x", token=uuid4()) for site in sites]
    refused = pytest.raises(QueryNotSupported, match=r"'code' is unique on each shard only.*shard key \(site\)")
    with refused as caught, atomic(using="track"):
        Coupon.objects.bulk_create(coupons, ignore_conflicts=True)
    assert caught.value.reason == "unique-over-shards"
    refused = pytest.raises(QueryNotSupported, match="the primary key is unique on each shard only")
    with refused, atomic(using="track"):
        Named.objects.bulk_create([Named(name="x", site=1)], ignore_conflicts=True)
    # In a pinned block what holds for the shard is asked for: here its table is missed, no more.
    shard = get_group("track").mapping.place(1)
    with using_shard(shard), pytest.raises(DatabaseError, match="tests_named"), atomic(using="track"):
        Named.objects.bulk_create([Named(name="x", site=1)], ignore_conflicts=True)


def test_copies_keep_the_null_of_json() -> None:
    """JSON's null and SQL's are both read as None."""
    null = Value(None, models.JSONField())
    Country.objects.bulk_create(
        [
            Country(code="de", name="", facts=null),
            Country(code="fr", name="", facts=None),
            Country(code="it", name="", facts=Cast(Value('{"a": 1}'), models.JSONField())),
        ]
    )
    for shard in get_group("track").shard_names:
        with using_shard(shard):
            assert list(Country.objects.filter(facts__isnull=True).values_list("code", flat=True)) == ["fr"]
            assert Country.objects.get(code="de").facts is None
    # What is read back is given to the others; where nothing is (MySQL), each shard computes the same by itself.
    computed = Country(code="es", facts=Cast(Value("null"), models.JSONField()))
    if connections["track_1"].features.can_return_columns_from_insert:
        with pytest.raises(QueryNotSupported, match="null"):
            computed.save()
        return
    computed.save()
    for shard in get_group("track").shard_names:
        with using_shard(shard):
            assert not Country.objects.get(code="es", facts__isnull=False).facts
