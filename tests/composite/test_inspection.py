"""``inspectdb`` writes composite foreign keys for constraints of several columns."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connections, models

from horizon_shards.fields import CompositeForeignKey
from horizon_shards.fields.composite.inspection import KeyOfColumns, keys_of_columns

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

DESK = "CREATE TABLE inspected_desk (branch integer NOT NULL, num integer NOT NULL, PRIMARY KEY (branch, num))"
CLERK = """
    CREATE TABLE inspected_clerk (
        id integer NOT NULL PRIMARY KEY, boss_id integer NULL, branch integer NULL, desk_num integer NULL,
        FOREIGN KEY (boss_id) REFERENCES inspected_clerk (id),
        FOREIGN KEY (branch, desk_num) REFERENCES inspected_desk (branch, num)
    )
"""


@pytest.fixture
def tables(db: None) -> Iterator[None]:
    """A desk of two columns, and a clerk that refers to one."""
    with connections["oracle"].cursor() as cursor:
        for sql in (DESK, CLERK):
            cursor.execute(sql)
        yield
        for name in ("clerk", "desk"):
            cursor.execute(f"DROP TABLE inspected_{name}")


def test_the_constraint_is_found_whole(tables: None) -> None:
    found = keys_of_columns(connections["oracle"], "inspected_clerk")
    assert found == [KeyOfColumns(("branch", "desk_num"), "inspected_desk", ("branch", "num"))]
    assert keys_of_columns(connections["oracle"], "inspected_desk") == []


def test_inspectdb_writes_the_relation_and_leaves_its_columns_plain(tables: None) -> None:
    out = StringIO()
    call_command("inspectdb", "inspected_desk", "inspected_clerk", database="oracle", stdout=out)
    text = out.getvalue()
    assert "from horizon_shards.fields import CompositeForeignKey" in text
    assert "branch = models.IntegerField(blank=True, null=True)" in text
    assert "boss = models.ForeignKey('self'" in text
    body = text.replace("class Meta:", "class Meta:\n        app_label = 'inspected'")
    module: dict[str, object] = {"__name__": "inspected_models"}
    exec(body, module)
    clerk = module["InspectedClerk"]
    assert isinstance(clerk, models.base.ModelBase)
    relation = clerk._meta.get_field("inspected_desk")
    assert isinstance(relation, CompositeForeignKey)
    assert relation.related_model is module["InspectedDesk"]
    assert (relation.to_fields, relation.from_fields) == (["branch", "num"], ["branch", "desk_num"])
