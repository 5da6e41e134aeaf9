"""Passwords that AWS keeps: read when connecting, and again where the server refuses the old one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.db import OperationalError

from horizon_shards.backends.aurora_mysql import credentials
from horizon_shards.backends.aurora_mysql.options import read_options
from horizon_shards.exceptions import ConfigurationError
from tests.clusters.test_connecting import server_of

if TYPE_CHECKING:
    from tests.servers.clusters import Cluster

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto")
REGION = "eu-west-1"


@pytest.fixture
def secrets() -> Iterator[Any]:
    """Secrets Manager, with the password of a user of its own."""
    with moto.mock_aws():
        credentials.forget_all()
        client = boto3.client("secretsmanager", region_name=REGION)
        client.create_secret(Name="track", SecretString=secret("first"))
        yield client


def secret(password: str) -> str:
    return json.dumps({"username": "kept", "password": password})


def test_a_secret_that_was_rotated_is_read_again(cluster: Cluster, shard: Any, secrets: Any) -> None:
    cluster.primary.sql(
        "CREATE OR REPLACE USER kept@'127.0.0.1' IDENTIFIED BY 'first'", "GRANT ALL ON app.* TO kept@'127.0.0.1'"
    )
    connection = shard(USER="", PASSWORD="", CLUSTER={"SECRET": "track", "REGION": REGION})
    assert server_of(connection) == cluster.primary.number
    connection.close()
    cluster.primary.sql("ALTER USER kept@'127.0.0.1' IDENTIFIED BY 'second'")
    secrets.put_secret_value(SecretId="track", SecretString=secret("second"))
    assert server_of(connection) == cluster.primary.number
    connection.close()
    cluster.primary.sql("ALTER USER kept@'127.0.0.1' IDENTIFIED BY 'third'")
    with pytest.raises(OperationalError, match=r"Access denied .* CLUSTER\['SECRET'\]"):
        connection.ensure_connection()


def test_a_token_is_signed_for_each_server(secrets: Any) -> None:
    options = read_options("track_1", {"CLUSTER": {"IAM": True, "REGION": REGION}})
    made = credentials.Credentials(options).added_to({"host": "a.example.com", "port": 3306, "user": "app"})
    assert made["password"].startswith("a.example.com:3306/?Action=connect&DBUser=app&")
    assert made["auth_plugin"] == "mysql_clear_password"


def test_a_token_is_not_sent_in_clear(shard: Any) -> None:
    for options in ({}, {"ssl_mode": "REQUIRED"}):
        with pytest.raises(
            ConfigurationError, match=r"DATABASES\['shard'\]: a token of IAM goes over the wire as it is"
        ):
            shard(CLUSTER={"IAM": True}, OPTIONS=options).ensure_connection()
