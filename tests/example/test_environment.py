"""Settings from environment variables."""

from __future__ import annotations

import json

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment
from config.caches import read_caches
from config.collecting import read_sinks
from config.databases import read_databases


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("DATABASE_URL", "DIRECTORY_URL", "SHARD_URLS", "SHARDS", "TRACK_URL", "WAREHOUSE_URL", "CONN_MAX_AGE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("REPLICA_URLS", "CACHE_URLS"):
        monkeypatch.delenv(name, raising=False)


def test_four_sqlite_shards_by_default(tmp_path):
    """No variable: six files and a logical database."""
    databases = read_databases(tmp_path)
    assert list(databases) == ["default", "warehouse", "directory", "track", "track_1", "track_2", "track_3", "track_4"]
    assert databases["track"]["SHARDS"]["track-3"] == {"PRIMARY": "track_3"}
    assert databases["track_3"]["NAME"] == str(tmp_path / "track_3.sqlite3")


def test_one_database(tmp_path, monkeypatch):
    """``SHARDS=0`` puts the models on one plain database."""
    monkeypatch.setenv("SHARDS", "0")
    databases = read_databases(tmp_path)
    assert list(databases) == ["default", "warehouse", "track"]
    assert databases["track"]["ENGINE"] == "django.db.backends.sqlite3"


def test_shards_on_servers(tmp_path, monkeypatch):
    """``SHARD_URLS`` names as many as wanted, with any password."""
    monkeypatch.setenv("SHARD_URLS", "eu-1=mysql://u:p%2C%40@db1:3307/track,\n us-1=postgresql://u@db2/track")
    monkeypatch.setenv("DIRECTORY_URL", "mysql://u@db0/directory")
    databases = read_databases(tmp_path)
    assert databases["track"]["SHARDS"] == {"eu-1": {"PRIMARY": "eu_1"}, "us-1": {"PRIMARY": "us_1"}}
    shard = databases["eu_1"]
    assert (shard["ENGINE"], shard["HOST"], shard["PORT"]) == ("django.db.backends.mysql", "db1", 3307)
    assert (shard["PASSWORD"], shard["CONN_MAX_AGE"], shard["CONN_HEALTH_CHECKS"]) == ("p,@", 60, True)
    assert databases["us_1"]["ENGINE"] == "django.db.backends.postgresql"
    assert databases["directory"]["HOST"] == "db0"


def test_clusters_and_replicas(tmp_path, monkeypatch):
    """``aurora://`` takes the servers of the cluster, or asks it for them; a shard without a replica stays without."""
    monkeypatch.setenv(
        "SHARD_URLS", "eu-1=aurora://u:p@db1/track?instances=db1:3306+db2:3307,eu-2=aurora://u@db3/track"
    )
    monkeypatch.setenv("REPLICA_URLS", "eu-1=aurora://u:p@reader/track")
    databases = read_databases(tmp_path)
    assert databases["track"]["SHARDS"] == {
        "eu-1": {"PRIMARY": "eu_1", "REPLICAS": ["eu_1_ro"]},
        "eu-2": {"PRIMARY": "eu_2"},
    }
    shard = databases["eu_1"]
    assert (shard["ENGINE"], shard["OPTIONS"]) == ("horizon_shards.backends.aurora_mysql", {})
    assert shard["CLUSTER"] == {"ROLE": "primary", "INSTANCES": ["db1:3306", "db2:3307"]}
    assert databases["eu_2"]["CLUSTER"] == {"ROLE": "primary"}
    assert (databases["eu_1_ro"]["HOST"], databases["eu_1_ro"]["CLUSTER"]) == ("reader", {"ROLE": "replica"})


def test_a_replica_of_no_shard(tmp_path, monkeypatch):
    """The error names it."""
    monkeypatch.setenv("REPLICA_URLS", "track-9=aurora://u@db1/track")
    with pytest.raises(ImproperlyConfigured, match="REPLICA_URLS names 'track-9'"):
        read_databases(tmp_path)


def test_caches(monkeypatch):
    """None, one cluster, two clusters."""
    assert read_caches() == {}
    monkeypatch.setenv("CACHE_URLS", "a=elasticache://a.cfg:11211")
    one = {"BACKEND": "horizon_shards.cache.ElastiCache", "LOCATION": "a.cfg:11211"}
    assert read_caches() == {"default": one}
    monkeypatch.setenv("CACHE_URLS", "a=elasticache://a.cfg:11211,b=memcached://m1:11211+m2:11211")
    two = {"BACKEND": "horizon_shards.cache.MemcachedCache", "LOCATION": ["m1:11211", "m2:11211"]}
    double = {"BACKEND": "horizon_shards.cache.DoubleCache", "LOCATION": "a,b"}
    assert read_caches() == {"default": double, "a": one, "b": two}


@pytest.mark.parametrize(
    "value",
    [
        "a=redis://h:1",
        "a=memcached://",
        "default=memcached://h:1",
        "a=memcached://h:1,b=memcached://h:2,c=memcached://h:3",
    ],
)
def test_bad_cache_urls_are_named(monkeypatch, value):
    """The error names the variable."""
    monkeypatch.setenv("CACHE_URLS", value)
    with pytest.raises(ImproperlyConfigured, match="CACHE_URLS"):
        read_caches()


@pytest.mark.parametrize("value", ["track-1", "track-1=", "=mysql://h/n", "a=sqlite:///x,a=sqlite:///y"])
def test_bad_shard_urls_are_named(monkeypatch, value):
    """The error names the variable and the part."""
    monkeypatch.setenv("SHARD_URLS", value)
    with pytest.raises(ImproperlyConfigured, match="SHARD_URLS"):
        environment.pairs("SHARD_URLS")


def test_one_of_a_few_words(monkeypatch):
    """Another word is an error that names them."""
    assert environment.one_of("WORD", "a", "b", default="b") == "b"
    monkeypatch.setenv("WORD", " a ")
    assert environment.one_of("WORD", "a", "b", default="b") == "a"
    monkeypatch.setenv("WORD", "c")
    with pytest.raises(ImproperlyConfigured, match="WORD is 'c': write a or b"):
        environment.one_of("WORD", "a", "b", default="b")


def test_flags_and_numbers(monkeypatch):
    """Nonsense is an error, not a no."""
    monkeypatch.setenv("FLAG", "Yes")
    assert environment.flag("FLAG", default=False)
    monkeypatch.setenv("FLAG", "maybe")
    with pytest.raises(ImproperlyConfigured, match="FLAG"):
        environment.flag("FLAG", default=False)
    with pytest.raises(ImproperlyConfigured, match="FLAG"):
        environment.whole("FLAG", 1)


PRINT = """
import json
from django.conf import settings as s
print(json.dumps([s.DEBUG, s.ALLOWED_HOSTS, s.SESSION_COOKIE_SECURE, "LoginRequired" in str(s.MIDDLEWARE)]))
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"DEBUG": "1"}, [True, [], False, False]),
        (
            {"SECRET_KEY": "k", "DEBUG": "0", "ALLOWED_HOSTS": "a.example, b.example"},
            [False, ["a.example", "b.example"], True, True],
        ),
        ({"SECRET_KEY": "k", "DEBUG": "0", "HTTPS": "0", "LOGIN_REQUIRED": "0"}, [False, [], False, False]),
    ],
)
def test_production_is_strict_by_default(process, variables, expected):
    """A secret key makes it production: no debugging, secure cookies, dashboards behind a login."""
    said = process("manage.py", "shell", "--no-imports", "-v", "0", "-c", PRINT, SHARDS="0", **variables)
    assert json.loads(said.strip().splitlines()[-1]) == expected


def test_views_go_to_firehose_where_a_stream_is_named(tmp_path, monkeypatch):
    """What does not fit goes to disk; one plain database has no shards to name streams after."""
    assert read_sinks(tmp_path, sharded=True)["track"]["BACKEND"] == "horizon_shards.sinks.DatabaseSink"
    monkeypatch.setenv("FIREHOSE_STREAM", "page-views-{shard}")
    options = read_sinks(tmp_path, sharded=True)["track"]["OPTIONS"]
    assert (options["STREAM"], options["SPILL_FOLDER"]) == ("page-views-{shard}", str(tmp_path / "spill"))
    with pytest.raises(ImproperlyConfigured, match="SHARDS is 0"):
        read_sinks(tmp_path, sharded=False)
