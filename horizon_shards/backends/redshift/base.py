"""The database wrapper: ``ENGINE = "horizon_shards.backends.redshift"``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql import base as postgresql

from horizon_shards.backends.redshift.creation import DatabaseCreation
from horizon_shards.backends.redshift.credentials import credentials_of
from horizon_shards.backends.redshift.features import DatabaseFeatures
from horizon_shards.backends.redshift.introspection import DatabaseIntrospection
from horizon_shards.backends.redshift.literals import Varbyte, register_literals
from horizon_shards.backends.redshift.operations import DatabaseOperations
from horizon_shards.backends.redshift.schema import DatabaseSchemaEditor

#: Of ``OPTIONS``; the rest goes to the driver.
OWN_OPTIONS = frozenset({"primary_keys", "directory", "bytes_per_character", "iam", "iam_role"})
MAX_VARCHAR = 65_535


def _numeric(data: dict[str, Any]) -> str:
    return "numeric({max_digits}, {decimal_places})".format(**data)


class DatabaseWrapper(postgresql.DatabaseWrapper):
    """A connection to Redshift."""

    vendor = "redshift"
    display_name = "Amazon Redshift"
    #: What a connection without a database is made to, as for creating one.
    maintenance_database = "dev"

    data_types: dict[str, Any] = {
        **postgresql.DatabaseWrapper.data_types,
        "AutoField": "integer",
        "BigAutoField": "bigint",
        "SmallAutoField": "integer",
        "BinaryField": "varbyte(1024000)",
        "DecimalField": _numeric,
        "DurationField": "bigint",
        "GenericIPAddressField": "varchar(39)",
        "IPAddressField": "varchar(15)",
        "JSONField": "super",
        "TextField": "varchar(65535)",
        "UUIDField": "varchar(32)",
    }
    data_type_check_constraints: dict[str, str] = {}
    #: The schema editor writes IDENTITY, as the model declares it.
    data_types_suffix: dict[str, str] = {}
    operators = {name: sql for name, sql in postgresql.DatabaseWrapper.operators.items() if name != "iregex"}
    #: Without E'' literals, and so without a backslash in the SQL itself.
    pattern_esc = (
        "REPLACE(REPLACE(REPLACE({}, CHR(92), CHR(92) || CHR(92)), '%%', CHR(92) || '%%'), '_', CHR(92) || '_')"
    )

    Database = SimpleNamespace(**{**vars(postgresql.Database), "Binary": Varbyte})
    SchemaEditorClass = DatabaseSchemaEditor
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        per_character = int(self.settings_dict.get("OPTIONS", {}).get("bytes_per_character", 4))
        counted = {
            name: _characters(per_character) for name in ("CharField", "FileField", "FilePathField", "SlugField")
        }
        self.data_types = {**self.data_types, **counted}

    def get_connection_params(self) -> dict[str, Any]:
        """What the driver is given: encrypted, without a GSS request, and without the options of ours."""
        params: dict[str, Any] = super().get_connection_params()
        if self.settings_dict["NAME"] is None:
            params["dbname"] = self.maintenance_database
        if "iam" in self.settings_dict["OPTIONS"]:
            found = credentials_of(self.alias, self.settings_dict)
            params["user"], params["password"] = found.user, found.password
        for name in OWN_OPTIONS:
            params.pop(name, None)
        params.setdefault("sslmode", "require")
        # A cluster drops connections that ask for GSS encryption, as libpq 12 and later do by default.
        params.setdefault("gssencmode", "disable")
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that writes literals as Redshift reads them."""
        connection = super().get_new_connection(conn_params)
        register_literals(connection)
        return connection

    def chunked_cursor(self) -> Any:
        """An ordinary cursor: those of the server live in a transaction, one at a time, on the leader node."""
        return BaseDatabaseWrapper.chunked_cursor(self)

    def check_constraints(self, table_names: Any = None) -> None:
        """Nothing: constraints are not enforced."""


def _characters(per_character: int) -> Any:
    def varchar(data: dict[str, Any]) -> str:
        length = data["max_length"]
        return f"varchar({MAX_VARCHAR if length is None else min(length * per_character, MAX_VARCHAR)})"

    return varchar
