"""Temporary passwords: of a cluster by moto, of Serverless by a server that answers as AWS does."""

from __future__ import annotations

import datetime as dt
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core.exceptions import ImproperlyConfigured

from horizon_shards.backends.redshift import credentials
from horizon_shards.backends.redshift.base import DatabaseWrapper

boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")

SETTINGS = {
    "ENGINE": "horizon_shards.backends.redshift",
    "NAME": "dev",
    "USER": "app",
    "PASSWORD": "",
    "HOST": "127.0.0.1",
    "PORT": "5439",
    "TIME_ZONE": None,
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": False,
    "AUTOCOMMIT": True,
    "ATOMIC_REQUESTS": False,
}


@pytest.fixture(autouse=True)
def account(monkeypatch):
    """An account of nobody, and no password that another test was given."""
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    credentials._known.clear()


def params(user="app", **iam):
    wrapper = DatabaseWrapper({**SETTINGS, "USER": user, "OPTIONS": {"iam": iam}}, "warehouse")
    return wrapper.get_connection_params()


@pytest.fixture
def cluster():
    """The address of moto with a cluster ``reports``."""
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    boto3.client("redshift", endpoint_url=f"http://{host}:{port}").create_cluster(
        ClusterIdentifier="reports", NodeType="ra3.large", MasterUsername="admin", MasterUserPassword="Secret123"
    )
    yield f"http://{host}:{port}"
    running.stop()


def test_a_cluster_gives_a_user_and_a_password_that_serve_until_they_end(cluster, monkeypatch):
    found = params(cluster="reports", endpoint=cluster)
    assert found["user"] == "IAM:app"
    assert len(found["password"]) > 8
    assert "iam" not in found
    assert params(cluster="reports", endpoint=cluster) == found
    monkeypatch.setattr(credentials, "MARGIN_SECONDS", 10_000)
    assert params(cluster="reports", endpoint=cluster)["password"] != found["password"]


class Serverless(BaseHTTPRequestHandler):
    """Answers GetCredentials of redshift-serverless and the other way to ask a cluster."""

    asked: list[tuple[str, dict]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append((self.headers.get("X-Amz-Target", ""), body))
        ends = dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=15)
        answer = {"dbUser": "IAMR:role", "dbPassword": "hour", "expiration": ends.timestamp()}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


def test_a_workgroup_of_serverless_gives_them_too():
    server = HTTPServer(("127.0.0.1", 0), Serverless)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        found = params(workgroup="reports", endpoint=f"http://127.0.0.1:{server.server_port}", duration_seconds=1200)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert (found["user"], found["password"]) == ("IAMR:role", "hour")
    ((target, body),) = Serverless.asked
    assert target == "RedshiftServerless.GetCredentials"
    assert json.loads(body) == {"workgroupName": "reports", "dbName": "dev", "durationSeconds": 1200}


@pytest.mark.parametrize("iam", [{}, {"cluster": "a", "workgroup": "b"}, {"cluster": "a", "regoin": "eu-west-1"}])
def test_options_that_cannot_be_meant_are_named(iam):
    with pytest.raises(ImproperlyConfigured, match=r"DATABASES\['warehouse'\]\['OPTIONS'\]\['iam'\]"):
        params(**iam)
