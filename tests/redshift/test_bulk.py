"""Many rows at once: loaded from files, written to files, merged, moved; all of them or none."""

from __future__ import annotations

import datetime as dt
import gzip
import json

import pytest
from django.db import NotSupportedError, connection, transaction

from horizon_shards.backends.redshift.bulk import (
    CopyFailed,
    analyze,
    append_from,
    bulk_merge,
    copy_from_s3,
    jsonpaths,
    merge_from_s3,
    unload_to_s3,
    vacuum,
)
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.testing.redshift import RedshiftRefuses, check_sql
from tests.redshift.warehouse.models import Arrived, Customer, Incoming, Old, Vip, Visit

pytestmark = pytest.mark.django_db(transaction=True)

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)


@pytest.fixture
def bucket(tmp_path):
    """A folder in the place of the bucket ``lake``."""
    connection.close()
    connection.settings_dict["OPTIONS"]["s3_folder"] = str(tmp_path)
    (tmp_path / "lake").mkdir()
    yield tmp_path / "lake"
    connection.close()
    del connection.settings_dict["OPTIONS"]["s3_folder"]


def lines(*documents):
    return "".join(json.dumps(document) + "\n" for document in documents)


def test_json_lines_are_loaded_by_the_names_of_columns(bucket):
    (bucket / "a1.json").write_text(lines({"id": 1, "name": "Ann", "country": "DE"}, {"id": 2, "name": 'B"o\\b'}))
    (bucket / "a2.json").write_text(lines({"name": "é'", "id": 3, "country": "FR", "more": 1}))
    assert copy_from_s3(Customer, "s3://lake/a", fields=["pk", "name", "country"], max_errors=1) == 2
    assert [*Customer.objects.order_by("pk").values_list("pk", "name")] == [(1, "Ann"), (3, "é'")]
    assert copy_from_s3(Incoming, "s3://lake/a1", fields=["pk", "name"]) == 2
    assert Incoming.objects.get(pk=2).name == 'B"o\\b'


def test_csv_with_a_header_compressed_and_with_types(bucket):
    text = 'id,customer_id,at,path,pages,seen\n5,7,2026-03-01 12:00:00+00,"/a,""b""",,true\n'
    (bucket / "v.csv.gz").write_bytes(gzip.compress(text.encode()))
    fields = ["pk", "customer", "at", "path", "share", "seen"]
    options = {"format": "csv", "header_lines": 1, "compression": "gzip", "region": "eu-central-1"}
    with pytest.raises(CopyFailed, match="Missing data for not-null field"):
        copy_from_s3(Visit, "s3://lake/v", fields=fields, **options)
    assert not Visit.objects.exists()
    (bucket / "o.csv.gz").write_bytes(gzip.compress(b"id,group,created\n5,7,2026-03-01 12:00:00+00\n"))
    assert copy_from_s3(Old, "s3://lake/o", fields=["pk", "group", "created"], **options) == 1
    assert Old.objects.get().created == NOON


def test_a_manifest_names_the_files_and_paths_the_values(bucket):
    (bucket / "x").write_text(lines({"who": {"names": ["Ann", "A."]}, "no": 4}))
    (bucket / "y").write_text(lines({"who": {"names": ["Bob"]}, "no": 5}))
    entries = [{"url": f"s3://lake/{name}", "mandatory": True} for name in "xy"]
    (bucket / "manifest").write_text(json.dumps({"entries": entries}))
    fields = ["pk", "name"]
    (bucket / "paths").write_text(jsonpaths(Incoming, {"name": "$.who['names'][0]", "id": "$.no"}, fields=fields))
    assert copy_from_s3(Incoming, "s3://lake/manifest", manifest=True, jsonpaths="s3://lake/paths", fields=fields) == 2
    assert [*Incoming.objects.order_by("pk").values_list("pk", "name")] == [(4, "Ann"), (5, "Bob")]
    (bucket / "y").unlink()
    with pytest.raises(CopyFailed, match="does not exist"):
        copy_from_s3(Incoming, "s3://lake/manifest", manifest=True, jsonpaths="s3://lake/paths", fields=fields)


def test_a_copy_that_fails_says_why_and_loads_nothing(bucket):
    (bucket / "a.json").write_text(
        lines({"id": 1, "name": "Ann", "country": "DE"}, {"id": "x", "name": "Bob", "country": "DE"})
    )
    (bucket / "b.json").write_text(lines({"id": 3, "name": "y" * 161, "country": "DE"}))
    for name, line, column, code in (("a", 2, "id", 1207), ("b", 1, "name", 1204)):
        with pytest.raises(CopyFailed, match="stl_load_errors") as caught:
            copy_from_s3(Customer, f"s3://lake/{name}")
        (error,) = caught.value.errors
        assert (error.file, error.line, error.column, error.code) == (f"s3://lake/{name}.json", line, column, code)
        assert str(error) in str(caught.value)
    assert not Customer.objects.exists()
    with pytest.raises(CopyFailed, match="prefix 'nothing' does not exist"):
        copy_from_s3(Customer, "s3://lake/nothing")


def test_a_copy_that_fails_in_a_transaction_takes_all_of_it_back(bucket):
    (bucket / "a.json").write_text(lines({"id": 1, "name": None, "country": "DE"}))
    with pytest.raises(CopyFailed) as caught, transaction.atomic():
        Customer.objects.create(name="before")
        copy_from_s3(Customer, "s3://lake/a")
    assert [error.column for error in caught.value.errors] == ["name"]
    assert not Customer.objects.exists()


def test_some_lines_may_be_left_out(bucket):
    (bucket / "a.json").write_text(lines({"id": 1, "name": "Ann", "country": "DE"}) + "nonsense\n")
    with pytest.raises(CopyFailed):
        copy_from_s3(Customer, "s3://lake/a")
    assert copy_from_s3(Customer, "s3://lake/a", max_errors=1) == 1


def test_what_is_unloaded_can_be_loaded(bucket):
    Customer.objects.bulk_create([Customer(pk=n, name=f"it's \\{n}", country="DE") for n in range(1, 4)])
    some = Customer.objects.filter(name__contains="it's \\").order_by("pk").values("id", "name", "country")
    assert unload_to_s3(some, "s3://lake/c/", format="json", compression="gzip", manifest=True) == 3
    assert unload_to_s3(some[:2], "s3://lake/d/", format="csv", header=True, parallel=False) == 2
    assert (bucket / "d" / "000").read_text() == "id,name,country\n1,it's \\1,DE\n2,it's \\2,DE\n"
    Customer.objects.all().delete()
    fields = ["pk", "name", "country"]
    assert copy_from_s3(Customer, "s3://lake/c/manifest", manifest=True, compression="gzip", fields=fields) == 3
    assert [*Customer.objects.order_by("pk").values_list("name", flat=True)] == ["it's \\1", "it's \\2", "it's \\3"]
    with pytest.raises(Exception, match="not empty"):
        unload_to_s3(some, "s3://lake/d/", format="csv")
    assert unload_to_s3(some, "s3://lake/d/", format="csv", overwrite=True) == 3
    assert unload_to_s3(Customer.objects.none(), "s3://lake/e/") == 0


def test_columns_become_folders(bucket):
    Customer.objects.bulk_create([Customer(name=name, country=name[0]) for name in ("Ann", "Al", "Bob")])
    rows = Customer.objects.order_by("name").values("country", "name")
    assert unload_to_s3(rows, "s3://lake/p/", format="csv", partition_by=["country"]) == 3
    assert (bucket / "p" / "country=A" / "0000_part_00").read_text() == "Al\nAnn\n"


def test_the_select_of_an_unload_is_checked(bucket):
    with connection.cursor() as cursor, pytest.raises(RedshiftRefuses, match="unload-limit"):
        cursor.execute("UNLOAD ('SELECT 1 LIMIT 1') TO 's3://lake/x' IAM_ROLE default FORMAT AS CSV")
    with connection.cursor() as cursor, pytest.raises(RedshiftRefuses, match="json-operator"):
        cursor.execute("UNLOAD ('SELECT a -> b FROM t') TO 's3://lake/x' IAM_ROLE default FORMAT AS CSV")


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_every_format_is_redshift(kind):
    sql = []

    def caught(execute, statement, params, many, context):
        sql.append(statement)
        raise InterruptedError

    calls = [
        lambda: copy_from_s3(Customer, "s3://b/k", format=kind, iam_role="arn:aws:iam::1:role/r", region="eu-west-1"),
        lambda: unload_to_s3(Customer.objects.all(), "s3://b/k", format=kind, partition_by=["country"]),
    ]
    for call in calls:
        with pytest.raises(InterruptedError), connection.execute_wrapper(_only(caught, "COPY", "UNLOAD")):
            call()
    assert len(sql) == 2
    assert [check_sql(statement) for statement in sql] == [[], []]


def _only(wrapper, *words):
    def run(execute, sql, params, many, context):
        return (wrapper if sql.startswith(words) else lambda run, *rest: run(*rest))(
            execute, sql, params, many, context
        )

    return run


@pytest.mark.parametrize("wrong", [{"format": "avro"}, {"compression": "zip"}, {"fields": ["nothing"]}])
def test_what_is_unknown_is_refused_before_anything_is_sent(wrong, django_assert_num_queries):
    with django_assert_num_queries(0), pytest.raises((ConfigurationError, Exception)) as caught:
        copy_from_s3(Customer, "s3://lake/a", **wrong)
    assert str(next(iter(wrong.values()))).strip("[]'") in str(caught.value)


@pytest.mark.parametrize("load", [copy_from_s3, merge_from_s3])
def test_an_argument_that_is_misspelt_is_refused_with_those_that_are_known(load):
    with pytest.raises(TypeError, match=r"not read by manifests; known are compression, .* manifest"):
        load(Customer, "s3://lake/a", manifests=True)


def test_other_databases_have_no_copy():
    with pytest.raises(NotSupportedError, match="elsewhere"):
        copy_from_s3(Customer, "s3://lake/a", using="elsewhere")
    with pytest.raises(ValueError, match="s3://"):
        copy_from_s3(Customer, "/tmp/a")


# ---- MERGE -----------------------------------------------------------------------------------------------------------


def test_rows_that_are_there_are_updated_and_others_inserted():
    ann = Customer.objects.create(name="Ann")
    ann.name = "Anna"
    bob = Customer(name="Bob")
    assert bulk_merge(Customer, [ann, bob]) == 2
    assert {*Customer.objects.values_list("pk", "name")} == {(ann.pk, "Anna"), (bob.pk, "Bob")}
    assert not bob._state.adding
    assert bulk_merge(Customer, [Customer(name="Bob", country="FR")], match=["name"], update=["country"]) == 1
    assert Customer.objects.get(name="Bob").country == "FR"
    assert bulk_merge(Customer, []) == 0


def test_the_distribution_key_is_in_the_match():
    ann, bob = Customer.objects.bulk_create([Customer(name="Ann"), Customer(name="Bob")])
    visit = Visit.objects.create(customer=ann, at=NOON, pages=1)
    visit.pages = 2
    with connection_log() as log:
        bulk_merge(Visit, [visit, Visit(customer=bob, at=NOON)])
    (merge,) = [sql for sql in log if sql.startswith("MERGE")]
    assert '"warehouse_visit"."customer_id" = "horizon_stage"."customer_id"' in merge
    assert Visit.objects.count() == 2
    visit.customer = bob
    with pytest.raises(ValueError, match="customer, its distribution key"):
        bulk_merge(Visit, [visit])
    assert Visit.objects.get(pk=visit.pk).customer == ann


class connection_log:  # noqa: N801
    """The statements of a block."""

    def __enter__(self):
        self._statements = []
        self._wrapper = connection.execute_wrapper(self._keep)
        self._wrapper.__enter__()
        return self._statements

    def __exit__(self, *error):
        return self._wrapper.__exit__(*error)

    def _keep(self, execute, sql, params, many, context):
        self._statements.append(sql)
        return execute(sql, params, many, context)


def test_two_objects_of_one_row_are_refused_and_the_staging_table_is_gone():
    with pytest.raises(ValueError, match="Two objects"):
        bulk_merge(Customer, [Customer(pk=1, name="a"), Customer(pk=1, name="b")])
    for _ in range(2):
        bulk_merge(Customer, [Customer(pk=1, name="a")], batch_size=1)
    assert Customer.objects.count() == 1


def test_what_is_set_when_a_row_is_made_stays_and_defaults_of_the_table_count():
    Arrived.objects.bulk_create([Arrived(pk=1, name="a")])
    Arrived.objects.update(made=NOON, changed=NOON)
    old = Arrived.objects.get()
    new = Arrived(pk=2, name="b")
    bulk_merge(Arrived, [old, new])
    found = {row.pk: row for row in Arrived.objects.all()}
    assert found[1].made == NOON
    assert found[1].changed > NOON
    assert found[2].made > NOON
    assert [row.rank for row in found.values()] == [7, 7]


def test_null_in_the_match_is_refused_and_so_are_rows_in_several_tables():
    with pytest.raises(ValueError, match="NULL equals nothing"):
        bulk_merge(Arrived, [Arrived(pk=1, name="a", note=None)], match=["note"])
    with pytest.raises(ValueError, match="NULL equals nothing"):
        bulk_merge(Visit, [Visit(pk=1, customer=None, at=NOON)])
    with pytest.raises(NotSupportedError, match="several tables"):
        bulk_merge(Vip, [Vip(name="Ann")])


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_rows_move_from_table_to_table():
    Incoming.objects.bulk_create([Incoming(pk=n, name=str(n)) for n in range(3)])
    with pytest.raises(Exception, match="differ"):
        append_from(Arrived, Incoming)
    append_from(Arrived, Incoming, fill=True)
    assert (Arrived.objects.count(), Incoming.objects.count()) == (3, 0)
    with pytest.raises(NotSupportedError, match="atomic"), transaction.atomic():
        append_from(Arrived, Incoming, fill=True)


def test_statistics_and_space():
    analyze(Visit)
    analyze(Visit, fields=["customer", "at"])
    vacuum(Visit)
    vacuum(Visit, kind="delete only")
    vacuum(Visit, kind="sort only", to_percent=75)
    with pytest.raises(NotSupportedError, match="atomic"), transaction.atomic():
        vacuum(Visit)
    with pytest.raises(ConfigurationError, match="known are full"):
        vacuum(Visit, kind="everything")


# ---- S3 itself -------------------------------------------------------------------------------------------------------


def test_a_stand_in_for_s3_serves_as_well(monkeypatch):
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    stand_in = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    stand_in.start()
    host, port = stand_in.get_host_and_port()
    connection.close()
    connection.settings_dict["OPTIONS"]["s3_endpoint"] = f"http://{host}:{port}"
    try:
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.put_object(Bucket="lake", Key="a/1.json", Body=lines({"id": 1, "name": "Ann", "country": "DE"}))
        assert copy_from_s3(Customer, "s3://lake/a/", fields=["pk", "name", "country"]) == 1
        assert unload_to_s3(Customer.objects.values("name"), "s3://lake/b/", format="csv") == 1
        assert client.get_object(Bucket="lake", Key="b/0000_part_00")["Body"].read() == b"Ann\n"
    finally:
        connection.close()
        del connection.settings_dict["OPTIONS"]["s3_endpoint"]
        stand_in.stop()
