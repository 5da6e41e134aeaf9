"""Addresses are shortened before anything is hashed, stored, sent or told; by default."""

from __future__ import annotations

import json
import logging

import pytest
from django.core.cache import cache

from track import collecting, importing, limiting
from track.addresses import anonymous
from track.models import PageView, Website
from track.visitors import visitor_hash

BOTH = pytest.mark.django_db(databases=["default", "track"])


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("192.0.2.77:5678", "192.0.2.0"),
        ("2001:db8:7:8:9::1", "2001:db8:7::"),
        ("[2001:db8:7:8:9::1]:5678", "2001:db8:7::"),
        ("fe80::1:2%eth0", "fe80::"),
        ("::1", "::"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("::ffff:c000:24d", "192.0.2.0"),
        ("2002:c000:24d::1", "192.0.2.0"),
        ("dsl-192-0-2-77.isp.example", ""),
        ("unknown", ""),
        ("192.0.2.777", ""),
        ("", ""),
    ],
)
def test_of_an_address_the_network_is_left(address, network):
    """Of IPv4 three bytes, of IPv6 six, of IPv4 in IPv6 what is left of IPv4; of anything else nothing."""
    assert anonymous(address) == network


@pytest.fixture
def hashed(monkeypatch):
    """Every address that was hashed."""
    seen = []

    def note(site_id, *, day, address, user_agent):
        seen.append(address)
        return visitor_hash(site_id, day=day, address=address, user_agent=user_agent)

    for module in (collecting, importing, limiting):
        monkeypatch.setattr(module, "visitor_hash", note)
    return seen


@pytest.fixture
def post(client):
    Website.objects.create(domain="a.example", key="abc")

    def send(address):
        body = json.dumps({"site": "abc", "path": "/"})
        return client.post(
            "/t/event", body, content_type="text/plain", headers={"User-Agent": "UA"}, REMOTE_ADDR=address
        )

    return send


@BOTH
@pytest.mark.parametrize(("is_on", "visitors"), [(None, 2), (True, 2), (False, 4)])
def test_the_tracker_hashes_networks(post, hashed, settings, is_on, visitors):
    """For the view, its profile and the limit; neighbours are one visitor then."""
    if is_on is not None:
        settings.ANONYMIZE_ADDRESSES = is_on
    addresses = ["192.0.2.7", "192.0.2.8", "2001:db8:7:8::1", "2001:db8:7:9::1"]
    assert [post(address).status_code for address in addresses] == [204] * 4
    assert set(hashed) == (set(addresses) if is_on is False else {"192.0.2.0", "2001:db8:7::"})
    assert PageView.objects.values("visitor").distinct().count() == visitors


def test_what_a_proxy_says_is_shortened_too(rf, settings):
    """The address of the header, as that of the connection."""
    settings.PROXIES = 1
    assert (
        collecting.client_address(rf.get("/", headers={"X-Forwarded-For": "192.0.2.7, 198.51.100.8"})) == "198.51.100.0"
    )


@BOTH
def test_all_of_a_network_have_one_limit(post, settings, monkeypatch):
    """What is counted in the cache is a hash of the network."""
    monkeypatch.setattr("track.limiting.time.time", lambda: 1_000.0)
    settings.REPORTS_A_MINUTE = 2
    cache.clear()
    addresses = ["192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.3.9"]
    assert [post(address).status_code for address in addresses] == [204, 204, 429, 204]
    cache.clear()
    settings.ANONYMIZE_ADDRESSES = False
    assert [post(address).status_code for address in addresses] == [204] * 4


LINE = '{} - - [02/Mar/2026:10:00:00 +0000] "GET {} HTTP/1.1" 200 1 "-" "Firefox/148.0"\n'


@BOTH
def test_an_imported_log_leaves_no_address(run, tmp_path, hashed):
    """Neither the visitor nor the id of the event is a hash of one: lines of neighbours are the same line."""
    ids = []
    for number, addresses in enumerate([("192.0.2.7", "192.0.2.8"), ("192.0.2.9", "192.0.2.200")]):
        path, site = tmp_path / f"{number}.log", Website.objects.create(domain=f"{number}.example")
        path.write_text("".join(LINE.format(address, f"/?from={address}") for address in addresses))
        run("import_access_log", path, "--site", site.key)
        ids.append(set(PageView.objects.filter(site=site).values_list("event_id", flat=True)))
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2
    assert set(hashed) == {"192.0.2.0"}


@BOTH
def test_the_log_tells_neither_addresses_nor_secrets(post, settings, caplog):
    """Not where a view is lost, and not where it is refused."""
    secrets = {"SECRET_KEY": "the-secret-key", "VISITOR_SALT": "the-salt"}
    for name, value in secrets.items():
        setattr(settings, name, value)
    client = {"aws_access_key_id": "the-aws-id", "aws_secret_access_key": "the-aws-secret"}
    own = {"STREAM": "views", "REGION": "eu-west-1", "CLIENT": client, "MAX_QUEUED_BYTES": 1}
    settings.HORIZON_SINKS = {"track": {"BACKEND": "horizon_shards.sinks.FirehoseSink", "OPTIONS": own}}
    cache.clear()
    settings.REPORTS_A_MINUTE = 1
    with caplog.at_level(logging.INFO):
        assert [post("198.51.100.77").status_code for _ in range(2)] == [503, 429]
    assert "A view of a.example was lost" in caplog.text
    told = caplog.text + repr([record.args for record in caplog.records])
    assert [word for word in ("198.51.100", *secrets.values(), *client.values()) if word in told] == []
