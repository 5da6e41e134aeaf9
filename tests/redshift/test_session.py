"""Query groups, and transactions that are tried again."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, OperationalError, connection, transaction
from django.db.utils import ConnectionHandler

from horizon_shards.backends.redshift.session import is_conflict, query_group, retry_conflicts
from horizon_shards.testing.redshift import RedshiftRefuses
from tests.redshift.warehouse.models import Customer

VIOLATION = "1023\nDETAIL:  Serializable isolation violation on table - 12, transactions forming the cycle are: 3, 4"


def group():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('rs.query_group')")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_queries_of_a_block_have_its_label_and_blocks_nest():
    with query_group("outer"):
        assert group() == "outer"
        with query_group("inner"):
            assert group() == "inner"
        assert group() == "outer"
    assert group() == ""


@pytest.mark.django_db(transaction=True)
def test_an_error_in_a_labelled_transaction_is_not_hidden():
    with pytest.raises(DataError), transaction.atomic(), query_group("x"), transaction.atomic():
        Customer.objects.create(name="x" * 1000)
    with query_group("y"):
        assert group() == "y"
    assert group() == ""


@pytest.mark.django_db(databases=["default", "elsewhere"])
def test_other_databases_have_no_labels():
    with query_group("x", using="elsewhere"):
        pass


@pytest.mark.django_db(transaction=True)
def test_a_conflict_is_tried_again_and_leaves_nothing_of_the_first_attempt():
    errors = [OperationalError(VIOLATION), OperationalError(VIOLATION)]

    @retry_conflicts(wait_seconds=0)
    def work(name):
        Customer.objects.create(name=name)
        if errors:
            raise errors.pop()
        return name

    assert work("a") == "a"
    assert Customer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_other_errors_and_the_last_conflict_are_raised():
    calls = []

    @retry_conflicts(attempts=2, wait_seconds=0)
    def work(error):
        calls.append(error)
        raise error

    for error, times in ((OperationalError("connection lost"), 1), (OperationalError(VIOLATION), 2)):
        calls.clear()
        with pytest.raises(OperationalError):
            work(error)
        assert len(calls) == times


@pytest.mark.django_db(transaction=True)
def test_a_part_of_a_transaction_is_not_repeated():
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        retry_conflicts()(Customer.objects.count)()


def test_what_a_conflict_is():
    assert is_conflict(OperationalError(VIOLATION))
    assert is_conflict(OperationalError("ERROR: 1023 DETAIL: x"))
    assert not is_conflict(OperationalError("could not connect 1023"))
    assert not is_conflict(ValueError(VIOLATION))


@pytest.mark.django_db(transaction=True)
def test_a_database_of_another_version_is_refused_with_the_cure():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.cursor.plainly("SELECT obj_description('rs'::regnamespace, 'pg_namespace')", None)
        (version,) = cursor.cursor.fetchone()
        cursor.cursor.plainly("COMMENT ON SCHEMA rs IS 'older'", None)
    connection.close()
    try:
        with pytest.raises(ImproperlyConfigured, match="drop it"):
            connection.ensure_connection()
    finally:
        stock = ConnectionHandler(
            {"default": {**connection.settings_dict, "ENGINE": "django.db.backends.postgresql", "OPTIONS": {}}}
        )
        with stock["default"].cursor() as cursor:
            cursor.execute(f"COMMENT ON SCHEMA rs IS '{version}'")
        stock["default"].close()
    connection.ensure_connection()


@pytest.mark.django_db(transaction=True)
def test_a_session_has_one_cursor_of_the_server():
    Customer.objects.create(name="a")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DECLARE one CURSOR FOR SELECT name FROM warehouse_customer")
        cursor.execute("FETCH FORWARD 10 FROM one")
        assert cursor.fetchall() == [("a",)]
        with pytest.raises(RedshiftRefuses, match="second-cursor"):
            cursor.execute("DECLARE two CURSOR FOR SELECT name FROM warehouse_customer")
        cursor.execute("CLOSE one")
        cursor.execute("DECLARE two CURSOR FOR SELECT name FROM warehouse_customer")
