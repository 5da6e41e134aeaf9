"""JSON in SUPER: it is made by functions, and PartiQL's paths lead into its columns."""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError
from django.db.models import functions as function_classes
from django.db.models.expressions import Col, OrderBy
from django.db.models.fields.json import (
    HasAnyKeys,
    HasKeyLookup,
    HasKeys,
    JSONExact,
    JSONIContains,
    KeyTextTransform,
    KeyTransform,
    KeyTransformIsNull,
)
from django.db.models.functions import JSONObject

from horizon_shards.backends.redshift.literals import SuperValue, quoted
from horizon_shards.backends.redshift.rendering import SQL, copy_of, renders, since


@renders(JSONObject)
def json_object(node: Any, compiler: Any, connection: Any) -> SQL:
    """A SUPER object."""
    return _call("OBJECT", node.get_source_expressions(), compiler)


@renders(since(function_classes, "JSONArray"))
def json_array(node: Any, compiler: Any, connection: Any) -> SQL:
    """A SUPER array."""
    return _call("ARRAY", node.get_source_expressions(), compiler)


def _call(name: str, sources: list[Any], compiler: Any) -> SQL:
    compiled = [compiler.compile(source) for source in sources]
    sql = ", ".join(sql for sql, _ in compiled)
    return f"{name}({sql})", tuple(param for _, params in compiled for param in params)


def _path(lhs: str, keys: list[str]) -> str:
    """The PartiQL path of keys below a column; whole numbers count elements of an array."""
    return lhs + "".join(f"[{key}]" if key.isdecimal() else f".{_name(key)}" for key in keys)


def _name(key: str) -> str:
    return '"' + key.replace('"', '""').replace("%", "%%") + '"'


@renders(OrderBy)
def order_by(node: Any, compiler: Any, connection: Any) -> SQL:
    """By a key of JSON that the query itself makes: by what is there, because paths lead into columns only."""
    inner = _made_of(node.expression)
    return (node if inner is None else copy_of(node, [inner])).as_sql(compiler, connection)  # type: ignore[no-any-return]


_MAKERS = tuple(kind for kind in (JSONObject, since(function_classes, "JSONArray")) if kind is not None)


def _made_of(node: Any) -> Any:
    """What is below a key of ``JSONObject()`` or ``JSONArray()``; None where that is not known."""
    if not isinstance(node, KeyTransform):
        return None
    parent = node.lhs if not isinstance(node.lhs, KeyTransform) else _made_of(node.lhs)
    sources = parent.get_source_expressions() if isinstance(parent, _MAKERS) else []
    if isinstance(parent, JSONObject):
        values = {key.value: value for key, value in zip(sources[::2], sources[1::2], strict=True)}
        return values.get(node.key_name)
    return dict(enumerate(sources)).get(int(node.key_name)) if node.key_name.isdecimal() else None


def _navigate(node: Any, compiler: Any, connection: Any) -> SQL:
    root = node
    while isinstance(root, KeyTransform):
        root = root.lhs
    if not isinstance(root, Col):
        raise NotSupportedError("Redshift's paths lead into columns of JSON, not into other expressions.")
    sql, params, keys = node.preprocess_lhs(compiler, connection)
    return _path(sql, keys), tuple(params)


@renders(KeyTransform)
def key_transform(node: Any, compiler: Any, connection: Any) -> SQL:
    """``column.key[0]``."""
    return _navigate(node, compiler, connection)


@renders(KeyTextTransform)
def key_text(node: Any, compiler: Any, connection: Any) -> SQL:
    """The value below a key as text."""
    sql, params, keys = node.preprocess_lhs(compiler, connection)
    path = ", ".join(quoted(key).replace("%", "%%") for key in keys)
    return f"NULLIF(JSON_EXTRACT_PATH_TEXT(JSON_SERIALIZE({sql}), {path}), '')", tuple(params)


@renders(JSONExact)
def json_exact(node: Any, compiler: Any, connection: Any) -> SQL:
    """JSON's null is a document, not a text."""
    left, left_params = node.process_lhs(compiler, connection)
    right, right_params = node.process_rhs(compiler, connection)
    values = tuple(SuperValue("null") if value == "null" else value for value in right_params)
    return f"{left} {node.get_rhs_op(connection, right)}", (*left_params, *values)


@renders(KeyTransformIsNull)
def key_is_null(node: Any, compiler: Any, connection: Any) -> SQL:
    """A key that is there with JSON's null is not missing."""
    sql, params = _navigate(node.lhs, compiler, connection)
    return f"JSON_TYPEOF({sql}) IS {'' if node.rhs else 'NOT '}NULL", params


@renders(HasKeyLookup)
def has_key(node: Any, compiler: Any, connection: Any) -> SQL:
    """A key is there where its value has a type."""
    keys = node.rhs if isinstance(node, (HasKeys, HasAnyKeys)) else [node.rhs]
    if any(isinstance(key, KeyTransform) for key in keys):
        raise NotSupportedError("Redshift's has_key takes the names of keys, not other expressions.")
    if isinstance(node.lhs, KeyTransform):
        lhs, params, below = node.lhs.preprocess_lhs(compiler, connection)
    else:
        (lhs, params), below = compiler.compile(node.lhs), []
    base = _path(lhs, below)
    tests = [f"JSON_TYPEOF({base}.{_name(str(key))}) IS NOT NULL" for key in keys]
    return f"({(node.logical_operator or ' AND ').join(tests)})", tuple(params) * len(tests)


@renders(JSONIContains)
def json_icontains(node: Any, compiler: Any, connection: Any) -> SQL:
    """The text of the whole document."""
    sql, params = compiler.compile(node.lhs)
    pattern = connection.ops.prep_for_like_query(node.rhs)
    return f"UPPER(JSON_SERIALIZE({sql})) LIKE UPPER(%s)", (*params, f"%{pattern}%")
