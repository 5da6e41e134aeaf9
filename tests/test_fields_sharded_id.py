"""The fields whose values name their bucket: made on saving, from the shard key of the instance."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from django.core import serializers
from django.db import connections, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter
from django.forms import modelform_factory
from django.test.utils import CaptureQueriesContext, isolate_apps

from horizon_shards.exceptions import ConfigurationError, InvalidShardKey
from horizon_shards.fields import ShardedIdField, ShardedUUIDField
from horizon_shards.ids import bucket_of_id, bucket_of_uuid, number_of_id, number_of_uuid
from horizon_shards.models import ReferenceModel, ShardedModel
from horizon_shards.testing import assert_single_shard
from horizon_shards.topology import get_group
from tests.shop.models import Account, Order, Session, Site, Visitor

with_databases = pytest.mark.django_db(databases=["default", "track", "track_1", "log"])


@pytest.fixture
def site(db: None) -> Site:
    return Site.objects.create(name="site")


def bucket_of_key(key: Any) -> int:
    return get_group("track").mapping.bucket(key)


@with_databases
class TestMaking:
    def test_an_id_carries_the_bucket_of_the_shard_key(self, site: Site) -> None:
        visitor = Visitor(site=site, name="v")
        assert visitor.pk is None
        visitor.save()
        assert bucket_of_id(visitor.pk) == bucket_of_key(site.pk)
        assert Visitor.objects.get(pk=visitor.pk) == visitor

    def test_ids_rise(self, site: Site) -> None:
        made = [Visitor.objects.create(site=site).pk for _ in range(5)]
        assert made == sorted(set(made))

    def test_a_model_keyed_by_its_own_id(self) -> None:
        accounts = [Account.objects.create(email="e") for _ in range(30)]
        for account in accounts:
            assert bucket_of_id(account.pk) == bucket_of_key(number_of_id(account.pk))
        assert len({bucket_of_id(account.pk) for account in accounts}) > 5

    def test_an_id_under_a_sharded_id_has_that_ones_bucket(self) -> None:
        for _ in range(10):
            account = Account.objects.create(email="e")
            order = Order.objects.create(account=account, amount=1)
            assert bucket_of_id(order.pk) == bucket_of_id(account.pk)
            with assert_single_shard():
                assert order.account == Account.objects.get(pk=account.pk)

    def test_a_uuid_carries_bucket_and_time(self, site: Site) -> None:
        before_ms = time.time_ns() // 1_000_000
        session = Session.objects.create(site=site)
        assert bucket_of_uuid(session.pk) == bucket_of_key(site.pk)
        assert before_ms <= session.pk.int >> 80 <= time.time_ns() // 1_000_000
        assert Session.objects.get(pk=str(session.pk)) == session

    def test_uuids_made_while_the_clock_stands_still_or_steps_back_differ(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        field = Session._meta.pk
        monkeypatch.setattr("horizon_shards.fields.sharded_uuid.time.time_ns", lambda: 1_700_000_000_000_000_000)
        made = [field.get_pk_value_on_save(Session(site=site)) for _ in range(100)]
        monkeypatch.setattr("horizon_shards.fields.sharded_uuid.time.time_ns", lambda: 1_600_000_000_000_000_000)
        made += [field.get_pk_value_on_save(Session(site=site)) for _ in range(100)]
        assert len({number_of_uuid(value) for value in made}) == len(set(made)) == 200

    def test_bulk_create_makes_all_ids(self, site: Site) -> None:
        made = Visitor.objects.bulk_create([Visitor(site=site, name=str(n)) for n in range(2_500)])
        assert len({visitor.pk for visitor in made}) == 2_500
        assert {bucket_of_id(visitor.pk) for visitor in made} == {bucket_of_key(site.pk)}
        assert Visitor.objects.filter(site=site).count() == 2_500

    def test_a_value_that_is_set_before_is_kept(self, site: Site) -> None:
        made = Visitor._meta.pk.get_pk_value_on_save(Visitor(site=site))
        assert Visitor.objects.create(pk=made, site=site).pk == made

    def test_saving_again_keeps_the_id(self, site: Site) -> None:
        visitor = Visitor.objects.create(site=site, name="v")
        made = visitor.pk
        visitor.name = "w"
        visitor.save()
        assert visitor.pk == made
        assert Visitor.objects.get(pk=made).name == "w"

    def test_a_physical_database_gets_ids_by_the_declaration(self, site: Site) -> None:
        visitor = Visitor.objects.using("track_1").create(site=site)
        assert bucket_of_id(visitor.pk) == bucket_of_key(site.pk)

    def test_saving_a_new_instance_is_one_insert(self, site: Site) -> None:
        """No UPDATE before it, as with every primary key that has a default."""
        visitor = Visitor(site=site)
        with CaptureQueriesContext(connections["track_1"]) as captured:
            visitor.save(using="track_1")
        assert [query["sql"].split()[0] for query in captured if "SAVEPOINT" not in query["sql"]] == ["INSERT"]

    def test_fixtures_keep_their_ids(self, site: Site) -> None:
        visitor = Visitor.objects.create(site=site, name="v")
        text = serializers.serialize("json", [visitor])
        Visitor.objects.all().delete()
        for loaded in serializers.deserialize("json", text):
            loaded.save()
        assert Visitor.objects.get(pk=visitor.pk).name == "v"


class TestRefusals:
    def test_a_missing_key_is_named(self) -> None:
        with pytest.raises(InvalidShardKey, match=r"'site' of shop.Visitor is None"):
            Visitor._meta.pk.get_pk_value_on_save(Visitor(name="v"))

    @isolate_apps("tests.shop")
    def test_a_group_without_a_directory_names_the_cure(self) -> None:
        class Line(ShardedModel):
            id = ShardedIdField(primary_key=True)
            region = models.CharField(max_length=5)

            class Meta:
                app_label = "shop"

            class Sharding:
                database = "log"
                key = "region"

        with pytest.raises(ConfigurationError, match=r"shop.Line.id needs a directory .* DATABASES\['log'\]\['DIRECT"):
            Line._meta.pk.get_pk_value_on_save(Line(region="eu"))

    @isolate_apps("tests.shop")
    def test_an_unsharded_model_names_the_cure(self) -> None:
        class Plain(models.Model):
            id = ShardedUUIDField(primary_key=True)

            class Meta:
                app_label = "shop"

        with pytest.raises(ConfigurationError, match=r"shop.Plain.id is a ShardedUUIDField, but .* not sharded"):
            Plain._meta.pk.get_pk_value_on_save(Plain())

    @isolate_apps("tests.shop")
    def test_a_composite_key_cannot_hold_its_own_id(self) -> None:
        class Circle(ShardedModel):
            id = ShardedIdField(primary_key=True)
            region = models.CharField(max_length=5)

            class Meta:
                app_label = "shop"

            class Sharding:
                database = "track"
                key = ("region", "id")

        with pytest.raises(ConfigurationError, match="cannot carry the bucket of a key it is part of"):
            Circle._meta.pk.get_pk_value_on_save(Circle(region="eu"))


class TestBuckets:
    @pytest.mark.parametrize("value", [2**61 + 5, str(2**61 + 5)])
    def test_the_bucket_of_an_id(self, value: object) -> None:
        assert ShardedIdField().bucket_of(value) == 5

    @pytest.mark.parametrize("value", [None, 5, "5", "x", 0, -1, [], 2**62])
    def test_what_is_no_id_has_none(self, value: object) -> None:
        assert ShardedIdField().bucket_of(value) is None

    @pytest.mark.parametrize("kind", [str, uuid.UUID])
    def test_the_bucket_of_a_uuid(self, kind: Any) -> None:
        assert ShardedUUIDField().bucket_of(kind("018bcfe5-6800-8148-a000-000000004002")) == 2

    @pytest.mark.parametrize("value", [None, 5, "x", uuid.UUID(int=2), uuid.uuid4()])
    def test_what_is_no_uuid_has_none(self, value: object) -> None:
        assert ShardedUUIDField().bucket_of(value) is None


class TestInModels:
    @pytest.mark.django_db(transaction=True, databases=["oracle"])
    @isolate_apps("tests.shop")
    def test_a_composite_primary_key(self) -> None:
        class Part(ShardedModel):
            pk = models.CompositePrimaryKey("site_id", "id")
            site_id = models.IntegerField()
            id = ShardedIdField()

            class Meta:
                app_label = "shop"

            class Sharding:
                database = "track"
                key = "site_id"

        with connections["oracle"].schema_editor() as editor:
            editor.create_model(Part)
        try:
            part = Part(site_id=7)
            part.save(using="oracle")
            created = Part.objects.using("oracle").bulk_create([Part(site_id=8), Part(site_id=9)])
            assert part.pk == (7, part.id)
            for one in (part, *created):
                assert bucket_of_id(one.id) == bucket_of_key(one.site_id)
            assert Part.objects.using("oracle").count() == 3
        finally:
            with connections["oracle"].schema_editor() as editor:
                editor.delete_model(Part)

    @with_databases
    @isolate_apps("tests.shop")
    def test_a_reference_model_spreads_by_the_number(self) -> None:
        class Currency(ReferenceModel):
            id = ShardedIdField(primary_key=True)

            class Meta:
                app_label = "shop"

            class Sharding:
                database = "track"

        made = Currency._meta.pk.get_pk_value_on_save(Currency())
        assert bucket_of_id(made) == bucket_of_key(number_of_id(made))

    @with_databases
    def test_a_historical_model_makes_the_same_ids(self, site: Site) -> None:
        state = ProjectState()
        for model in (Site, Visitor):
            state.add_model(ModelState.from_model(model))
        historical = state.apps.get_model("shop", "Visitor")
        made = historical._meta.pk.get_pk_value_on_save(historical(site_id=site.pk))
        assert type(historical._meta.pk) is ShardedIdField
        assert bucket_of_id(made) == bucket_of_key(site.pk)

    def test_forms_leave_it_out(self) -> None:
        form = modelform_factory(Visitor, fields="__all__")
        assert "id" not in form().fields
        assert ShardedIdField(editable=True).formfield() is None
        assert ShardedUUIDField(editable=True).formfield() is None


class OwnId(ShardedIdField):
    pass


class OwnUUID(ShardedUUIDField):
    pass


@pytest.mark.parametrize("kind", [ShardedIdField, ShardedUUIDField])
class TestMigrations:
    @pytest.mark.parametrize(
        "options",
        [{}, {"primary_key": True}, {"db_column": "no"}, {"editable": True}, {"db_index": True, "null": True}],
    )
    def test_it_deconstructs_to_what_was_written(self, kind: Any, options: dict[str, Any]) -> None:
        _, path, args, kwargs = kind(**options).deconstruct()
        assert path == f"horizon_shards.fields.{kind.__name__}"
        assert (args, kwargs) == ([], options)
        assert kind(*args, **kwargs).deconstruct() == (None, path, args, kwargs)

    def test_a_migration_can_be_written(self, kind: Any) -> None:
        text, imports = MigrationWriter.serialize(kind(primary_key=True))
        assert text == f"horizon_shards.fields.{kind.__name__}(primary_key=True)"
        assert imports == {"import horizon_shards.fields"}

    def test_a_derived_field_is_found_where_it_is(self, kind: Any) -> None:
        derived = {ShardedIdField: OwnId, ShardedUUIDField: OwnUUID}[kind]
        text, imports = MigrationWriter.serialize(derived(primary_key=True))
        assert text == f"{__name__}.{derived.__name__}(primary_key=True)"
        assert imports == {f"import {__name__}"}

    def test_nothing_changes_after_the_first_migration(self, kind: Any) -> None:
        def state() -> ProjectState:
            made = ProjectState()
            made.add_model(ModelState("shop", "Thing", [("id", kind(primary_key=True))]))
            return made

        assert MigrationAutodetector(state(), state())._detect_changes() == {}

    def test_the_column_is_that_of_djangos_field(self, kind: Any) -> None:
        parent = kind.__bases__[-1]
        assert kind().db_type(connections["default"]) == parent().db_type(connections["default"])
        assert kind().rel_db_type(connections["default"]) == parent().rel_db_type(connections["default"])
