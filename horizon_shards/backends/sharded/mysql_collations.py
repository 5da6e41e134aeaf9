"""By which collation MySQL and MariaDB compare a text, by the weights that they give columns, casts and literals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Aggregate, Subquery, When
from django.db.models.expressions import Col, ExpressionWrapper
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast
from django.db.models.lookups import Lookup
from django.db.models.sql import Query

from horizon_shards.backends.sharded.collations import (
    database_collation,
    declared_collation,
    explicit_collation,
    literal_collation,
    meant_by,
)
from horizon_shards.backends.sharded.kinds import TEXT, internal_type, output_field

#: What JSON, and a text out of it, compares by.
OF_JSON = "utf8mb4_bin"
#: How much a collation counts beside another one: MySQL's COERCIBILITY(), where less wins.
COLUMN, LITERAL = 2, 4
#: Functions whose texts are the server's own, whatever their arguments are.
OWN = {"MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "JSONObject", "JSONArray"}


def mysql_collation(expression: Any, connection: Any) -> str:
    """The collation by which MySQL compares an expression."""
    return explicit_collation(expression) or _weighed(expression, connection)[1]


def weighs_as_literal(expression: Any, connection: Any) -> bool:
    """Whether the collation of any column beside the expression wins over its own: so it is of texts out of JSON."""
    return explicit_collation(expression) is None and _weighed(expression, connection)[0] == LITERAL


def _weighed(expression: Any, connection: Any) -> tuple[int, str]:
    """The weight and the collation of an expression without COLLATE."""
    while (meant := meant_by(expression)) is not expression or isinstance(expression, ExpressionWrapper):
        expression = meant.expression if isinstance(meant, ExpressionWrapper) else meant
    if isinstance(expression, Col):
        return _of_column(expression, connection)
    if isinstance(expression, KeyTransform):
        return LITERAL, OF_JSON
    if isinstance(expression, Cast):
        return COLUMN, OF_JSON if internal_type(output_field(expression)) == "JSONField" else literal_collation(
            connection
        )
    if isinstance(expression, Lookup) or type(expression).__name__ in OWN:
        return LITERAL, literal_collation(connection)
    found = [_weighed(part, connection) for part in _values_of(expression)]
    heaviest = [(weight, name) for weight, name in found if weight == min(found)[0]]
    # Of columns of several collations a binary one wins.
    binary = (one for one in heaviest if one[1].endswith("_bin"))
    return next(binary, heaviest[0] if heaviest else (LITERAL, literal_collation(connection)))


def _of_column(column: Col, connection: Any) -> tuple[int, str]:
    kind = internal_type(output_field(column))
    if kind == "JSONField":
        return COLUMN, OF_JSON
    if kind in TEXT:
        return COLUMN, declared_collation(column) or database_collation(connection)
    return LITERAL, literal_collation(connection)


def _values_of(expression: Any) -> Iterator[Any]:
    """What the value of an expression is made of: no conditions, and no orders."""
    if isinstance(expression, Subquery | Query):
        query: Any = getattr(expression, "query", expression)
        sources = [*query.select, *query.annotation_select.values()]
    elif isinstance(expression, When):
        sources = [expression.result]
    elif isinstance(expression, Aggregate):
        sources = expression.source_expressions
    else:
        sources = expression.get_source_expressions() if hasattr(expression, "get_source_expressions") else []
    return (source for source in sources if source is not None)
