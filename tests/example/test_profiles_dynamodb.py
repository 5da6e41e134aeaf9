"""Profiles in DynamoDB: claims, versions, times to live, and what happens when it does not answer."""

from __future__ import annotations

import json
import logging
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.utils import timezone
from dynamodb import OPTIONS, VARIABLES, dynamodb_server  # noqa: F401 - a fixture

from track.models import PageView, Website
from track.profiles import ProfileError, profiles

pytest.importorskip("pynamodb", reason="needs PynamoDB: pip install '.[dynamodb]'")
factory = pytest.importorskip("factory", reason="needs factory_boy")

from pynamodb.connection.base import Connection  # noqa: E402
from pynamodb.exceptions import CancellationReason, TransactWriteError, VerboseClientError  # noqa: E402

from horizon_shards.testing.dynamodb import PynamoFactory  # noqa: E402
from track.profiles import dynamodb as module  # noqa: E402
from track.profiles.dynamodb import DynamoProfiles  # noqa: E402
from track.profiles.items import VisitorItem  # noqa: E402

pytestmark = pytest.mark.django_db(databases=["default", "track"])
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0"


class VisitorFactory(PynamoFactory[VisitorItem]):
    """Visitors of website 1, each seen a minute before the one that was made before."""

    class Meta:
        model = VisitorItem

    site = 1
    visitor = factory.Sequence(lambda number: f"{number:016x}")
    key = factory.LazyAttribute(lambda visitor: f"{visitor.site}/{visitor.visitor}")
    last_seen = factory.Sequence(lambda number: timezone.now() - timedelta(minutes=number))
    first_seen = factory.SelfAttribute("last_seen")
    expires = timedelta(days=30)
    views = 1


@pytest.fixture
def store(settings, dynamodb_server):  # noqa: F811
    """The profiles of the settings, in empty tables."""
    dynamodb_server.reset()
    options = {**OPTIONS, "ENDPOINT": dynamodb_server.url}
    settings.VISITOR_PROFILES = {
        "BACKEND": "track.profiles.dynamodb.DynamoProfiles",
        "DAYS": 30,
        "OPTIONS": options,
    }
    profiles().make_tables()
    return profiles()


@pytest.fixture
def made(store):
    """The factory, writing to the table of this test."""

    class Made(VisitorFactory):
        class Meta:
            model = store.visitors

    return Made.create_batch


def view(**fields) -> PageView:
    """One that a sink has taken."""
    given = {"site_id": 1, "visitor": "v", "time": timezone.now(), "path": "/", "event_id": uuid.uuid4(), **fields}
    return PageView(**given)


def counted(store) -> tuple[float, int]:
    """The views of all profiles, and how many events are claimed."""
    return sum(item.views for item in store.visitors.scan()), store.claims.count()


def interfere(monkeypatch, mine, *, times: int) -> None:
    """Let another process write the profile after it was read for this view, so often."""
    read, rivals = DynamoProfiles._counted, [view() for _ in range(times)]

    def read_and_wait(self, asked, **kwargs):
        item = read(self, asked, **kwargs)
        if asked is mine and rivals:
            self.see(rivals.pop())
        return item

    monkeypatch.setattr(DynamoProfiles, "_counted", read_and_wait)


def test_the_tables_end_what_has_expired(store, dynamodb_server, run):  # noqa: F811
    """Both have a time to live; making them again changes nothing."""
    import boto3

    client = boto3.client("dynamodb", endpoint_url=dynamodb_server.url)
    for name in ("stats-visitors", "stats-claims"):
        told = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert told == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    assert run("make_profile_tables") == "Tables of profiles: stats-visitors and stats-claims.\n"


def test_without_dynamodb_there_are_no_tables_to_make(run):
    """The command says why."""
    assert "DYNAMODB_PREFIX is not set" in run("make_profile_tables")


@pytest.mark.parametrize("times", [1, module.TRIES - 1])
def test_a_profile_that_another_has_written_is_read_again(store, monkeypatch, times):
    """Neither view is lost, and none counts twice."""
    mine = view()
    interfere(monkeypatch, mine, times=times)
    store.see(mine)
    assert counted(store) == (times + 1, times + 1)


def test_what_is_asked_is_what_dax_has(store, monkeypatch):
    """Reads that a cache may answer, but for the one after a conflict; and no operation that DAX would refuse."""
    asked = []
    call = Connection._make_api_call

    def note_and_call(self, operation_name, operation_kwargs):
        asked.append((operation_name, bool(operation_kwargs.get("ConsistentRead"))))
        return call(self, operation_name, operation_kwargs)

    monkeypatch.setattr(Connection, "_make_api_call", note_and_call)
    store.see(view())
    store.latest(1, limit=5)
    assert asked == [("GetItem", False), ("TransactWriteItems", False), ("Query", False)]
    asked.clear()
    mine = view()
    interfere(monkeypatch, mine, times=1)
    store.see(mine)
    assert [consistent for operation, consistent in asked if operation == "GetItem"] == [False, False, True]
    assert {operation for operation, _ in asked} == {"GetItem", "TransactWriteItems"}


def test_a_conflict_without_end_is_an_error(store, monkeypatch):
    """The view is not claimed then, so that it can come again."""
    mine = view()
    interfere(monkeypatch, mine, times=module.TRIES)
    with pytest.raises(ProfileError, match="ConditionalCheckFailed"):
        store.see(mine)
    assert counted(store) == (module.TRIES, module.TRIES)
    store.see(mine)
    assert counted(store) == (module.TRIES + 1, module.TRIES + 1)


@pytest.mark.parametrize(
    ("codes", "views"),
    [(["TransactionConflict", "None"], 1), (["None", "TransactionConflict"], 1), (["None", "ThrottlingError"], None)],
)
def test_what_aws_answers_and_the_emulator_does_not(store, monkeypatch, codes, views):
    """Another transaction that is under way is a conflict; of what else is wrong nothing is tried again."""
    write, answers = DynamoProfiles._write, [cancelled(*codes)]

    def refuse_once(self, *args):
        if answers:
            raise answers.pop()
        write(self, *args)

    monkeypatch.setattr(DynamoProfiles, "_write", refuse_once)
    if views:
        store.see(view())
        assert counted(store) == (views, views)
    else:
        with pytest.raises(ProfileError, match="ThrottlingError"):
            store.see(view())
        assert counted(store) == (0, 0)


def cancelled(*codes: str) -> TransactWriteError:
    """The error of PynamoDB for a transaction that AWS has cancelled."""
    text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
    response = {"Error": {"Code": "TransactionCanceledException", "Message": text}}
    reasons = [None if code == "None" else CancellationReason(code) for code in codes]
    cause = VerboseClientError(response, "TransactWriteItems", {}, cancellation_reasons=reasons)
    return TransactWriteError("Failed to write transaction items", cause)


def test_of_many_that_report_an_event_at_once_one_counts(store):
    """16 threads."""
    store.see(view())
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(store.see, [view(visitor="w")] * 16))
    assert counted(store) == (2, 2)


def test_what_has_expired_is_free_although_dynamodb_has_not_deleted_it(store, monkeypatch):
    """A claim of yesterday is none."""
    same = view()
    store.see(same)
    store.see(same)
    later = timezone.now() + module.CLAIM + timedelta(seconds=2)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    store.see(same)
    assert counted(store) == (2, 1)


def test_a_late_report_changes_when_a_visitor_was_first_seen(store):
    """Reports need not come in the order of their times."""
    now = timezone.now()
    for minutes in (5, 1, 9):
        store.see(view(time=now + timedelta(minutes=minutes)))
    (found,) = store.latest(1, limit=9)
    assert (found.first_seen, found.last_seen) == (now + timedelta(minutes=1), now + timedelta(minutes=9))
    item = store.visitors.get("1/v")
    assert (item.version, item.expires) == (3, (found.last_seen + timedelta(days=30)).replace(microsecond=0))


def test_the_latest_are_found_among_many(store, made):
    """By the index: those of one website alone, in their order, and no more than wanted."""
    everybody = made(60)
    made(5, site=2)
    latest = sorted(everybody, key=lambda item: item.last_seen, reverse=True)
    assert [found.visitor for found in store.latest(1, limit=12)] == [item.visitor for item in latest[:12]]
    assert len(store.latest(1, limit=99)) == 60


def test_a_dynamodb_that_does_not_answer_breaks_nothing(client, settings, caplog):
    """The view is stored, the dashboard is shown, the log tells, without whose profile it was."""
    settings.VISITOR_PROFILES = {
        "BACKEND": "track.profiles.dynamodb.DynamoProfiles",
        "DAYS": 30,
        "OPTIONS": {**OPTIONS, "ENDPOINT": "http://127.0.0.1:1"},
    }
    site = Website.objects.create(domain="a.example", key="abc")
    report = json.dumps({"site": "abc", "path": "/"})
    with caplog.at_level(logging.ERROR), pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        answer = client.post("/t/event", report, content_type="text/plain", headers={"User-Agent": FIREFOX})
        page = client.get(site.get_absolute_url())
    stored = PageView.objects.get(site=site)
    assert (answer.status_code, page.status_code) == (204, 200)
    assert b"The visitors could not be read now." in page.content
    assert [record.getMessage() for record in caplog.records] == [
        "The profile of a visitor of a.example was not updated.",
        "The visitors of a.example could not be read.",
    ]
    assert not any(secret in caplog.text for secret in ("127.0.0.1 ", stored.visitor, settings.VISITOR_SALT))


def test_a_dynamodb_that_hangs_is_asked_twice(monkeypatch):
    """And waited for as long as the settings say, not for PynamoDB's 30 seconds."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        store = DynamoProfiles(days=30, options={**OPTIONS, "ENDPOINT": url, "TIMEOUT_SECONDS": 1})
        begin = time.monotonic()
        with pytest.raises(ProfileError, match="Read timeout"):
            store.see(view())
        assert time.monotonic() - begin < 30
        hanging.setblocking(False)
        for _ in range(2):
            hanging.accept()[0].close()
        with pytest.raises(BlockingIOError):
            hanging.accept()


BY_ENVIRONMENT = """
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("migrate", database="default", verbosity=0)
call_command("migrate", database="track", verbosity=0)
call_command("make_profile_tables")
from track.models import Website
from track.profiles import profiles
Website.objects.create(domain="a.example", key="abc")
for path in "/a/", "/a/", "/b/":
    report = {"site": "abc", "path": path, "id": f"00000000-0000-4000-8000-{ord(path[1]):012}"}
    answer = Client(headers={"User-Agent": "Firefox/148.0"}).post("/t/event", report, content_type="application/json")
    assert answer.status_code == 204
print([found.views for found in profiles().latest(1, limit=9)])
"""


def test_by_the_environment_alone(process, dynamodb_server):  # noqa: F811
    """The variables of production, and an emulator for DynamoDB."""
    dynamodb_server.reset()
    named = {"DYNAMODB_PREFIX": "p-", "DYNAMODB_ENDPOINT": dynamodb_server.url, "DYNAMODB_TIMEOUT_SECONDS": "60"}
    said = process("-c", BY_ENVIRONMENT, SHARDS="0", ALLOWED_HOSTS="testserver", **named, **VARIABLES)
    assert said == "Tables of profiles: p-visitors and p-claims.\n[2]\n"
