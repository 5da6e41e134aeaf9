"""What the setting ``CLUSTER`` may hold, and what follows from an Aurora endpoint's name."""

from __future__ import annotations

from typing import Any

import pytest

from horizon_shards.backends.aurora_mysql.codes import says_lost, says_read_only
from horizon_shards.backends.aurora_mysql.options import Address, ClusterOptions, is_rds, read_options
from horizon_shards.exceptions import ConfigurationError

AURORA = "track-1.cluster-c9akciq32r.eu-west-1.rds.amazonaws.com"


def test_nothing_has_to_be_said() -> None:
    assert read_options("track_1", {"HOST": "db.example.com"}) == ClusterOptions()


def test_everything_can_be_said() -> None:
    options = read_options(
        "track_1",
        {
            "PORT": "3307",
            "CLUSTER": {
                "ROLE": "replica",
                "INSTANCES": ["a", "b:3308"],
                "INSTANCE_HOST": "{}.db.example.com",
                "DEADLINE_SECONDS": 3,
                "IAM": True,
                "SECRET": "track",
                "REGION": "eu-west-1",
                "MAX_CONNECTIONS": 4,
                "IDLE_SECONDS": 30,
                "POOL": True,
            },
        },
    )
    assert options == ClusterOptions(
        role="replica",
        instances=(Address("a", 3307), Address("b", 3308)),
        instance_host="{}.db.example.com",
        deadline_seconds=3.0,
        iam=True,
        secret="track",
        region="eu-west-1",
        max_connections=4,
        idle_seconds=30.0,
        pool=True,
    )


def test_connections_in_a_pool_do_not_wait_for_ever() -> None:
    assert read_options("track_1", {"CLUSTER": {"POOL": True}}).idle_seconds == 60.0
    assert read_options("track_1", {"CLUSTER": {}}).idle_seconds is None


@pytest.mark.parametrize("beside", [{"CONN_MAX_AGE": None}, {"OPTIONS": {"read_default_file": "/etc/my.cnf"}}])
def test_a_pool_refuses_settings_under_which_a_session_cannot_be_shared(beside: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"DATABASES\['track_1'\]\['CLUSTER'\]\['POOL'\] needs"):
        read_options("track_1", {"CLUSTER": {"POOL": True}, **beside})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"INSTANCE": ["a"]}, r"unknown key 'INSTANCE': did you mean 'INSTANCES'\?"),
        ({"ROLE": "writer"}, r"\['ROLE'\] must be one of primary, replica"),
        ({"INSTANCES": "a,b"}, r"\['INSTANCES'\] must be a list"),
        ({"DEADLINE_SECONDS": 0}, r"\['DEADLINE_SECONDS'\] must be more than 0"),
        ({"MAX_CONNECTIONS": 0}, r"\['MAX_CONNECTIONS'\] must be a whole number of at least 1, or None, not 0"),
        ({"IDLE_SECONDS": -1}, r"\['IDLE_SECONDS'\] must be more than 0"),
        (["a"], "must be a dict"),
    ],
)
def test_what_cannot_work_is_named(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=r"DATABASES\['track_1'\]\['CLUSTER'\].*" + message):
        read_options("track_1", {"CLUSTER": given})


def test_the_endpoint_of_a_cluster_tells_where_its_instances_are() -> None:
    options = read_options("track_1", {"HOST": AURORA})
    assert options.instance_host == "{}.c9akciq32r.eu-west-1.rds.amazonaws.com"
    assert options.region == "eu-west-1"


@pytest.mark.parametrize("kind", ["cluster-ro-", "cluster-custom-", "proxy-", ""])
def test_other_endpoints_do_not(kind: str) -> None:
    host = AURORA.replace("cluster-", kind)
    assert is_rds(host)
    assert read_options("track_1", {"HOST": host}).instance_host is None


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (1290, "The MariaDB server is running with the --read-only option so it cannot execute this statement", True),
        (1290, "The MySQL server is running with the --read_only option so it cannot execute this statement", True),
        (1290, "The MySQL server is running with the --secure-file-priv option so it cannot", False),
        (1836, "Running in read-only mode", True),
        (1062, "Duplicate entry 'read-only' for key 'name'", False),
    ],
)
def test_a_server_that_takes_no_writes_is_known_by_its_errors(code: int, message: str, expected: bool) -> None:
    assert says_read_only(Exception(code, message)) is expected


def test_a_lost_connection_is_known_by_its_errors() -> None:
    assert [code for code in (1205, 1290, 2006, 2013, 4031) if says_lost(Exception(code, ""))] == [2006, 2013, 4031]
    assert not says_lost(Exception())
    assert not says_lost(Exception("2006"))
