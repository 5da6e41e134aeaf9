"""Counting by tasks: at once without settings, and through a queue and a worker by settings alone."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from aggregate.models import DailyCount, HourlyCount
from config.queues import read_tasks
from horizon_shards.testing.queues import make_queue
from track.models import Website

BOTH = pytest.mark.django_db(databases=["default", "track"])


def counted():
    return list(HourlyCount.objects.order_by("site", "hour").values()), list(
        DailyCount.objects.order_by("site", "day").values("site", "day", "views", "visitors", "requests")
    )


@BOTH
def test_without_settings_a_task_is_run_at_once(run, log):
    """The counts are those of the command."""
    run("import_access_log", log)
    run("aggregate")
    plain = counted()
    DailyCount.objects.all().delete()
    HourlyCount.objects.all().delete()
    assert run("aggregate", "--enqueue") == "Counted 2 websites, a task each.\n"
    assert counted() == plain
    assert len(plain[1]) == 3


@BOTH
def test_a_task_counts_one_website_from_a_day_on(run, log):
    """As the options of the command say."""
    run("import_access_log", log)
    run("aggregate", "--enqueue", "--site=a.example", "--since=2026-03-03")
    assert [(row.site.domain, str(row.day)) for row in DailyCount.objects.all()] == [("a.example", "2026-03-03")]


@BOTH
def test_a_task_that_fails_at_once_is_no_silence(run, log, monkeypatch):
    """Django's backend keeps the error to itself."""
    run("import_access_log", log)
    monkeypatch.setattr("aggregate.tasks.count_site", None)
    with pytest.raises(CommandError, match=r"Counting failed for a\.example, b\.example"):
        run("aggregate", "--enqueue")


@BOTH
def test_a_website_that_is_gone_has_nothing_to_count():
    """It may go while its task waits."""
    from aggregate.tasks import count_website

    assert count_website.enqueue(4_711).errors == []
    assert not Website.objects.exists()


def test_the_queue_is_named_by_the_environment(monkeypatch):
    """No variable: Django's own backend."""
    monkeypatch.delenv("QUEUE_PREFIX", raising=False)
    assert read_tasks() == {}
    monkeypatch.setenv("QUEUE_PREFIX", "stats-")
    assert read_tasks()["default"]["OPTIONS"] == {"QUEUE_PREFIX": "stats-", "ENDPOINT": None}


@pytest.fixture
def queue():
    """A queue ``stats-default`` on moto's server, with its dead-letter queue: client, URL, variables."""
    server = pytest.importorskip("moto.server", reason="needs moto's server: pip install 'moto[server,sqs]'")
    import boto3

    emulator = server.ThreadedMotoServer("127.0.0.1", 0)
    emulator.start()
    host, port = emulator.get_host_and_port()
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}
    named = {name.lower(): value for name, value in credentials.items() if name != "AWS_DEFAULT_REGION"}
    url = f"http://{host}:{port}"
    sqs = boto3.session.Session().client("sqs", endpoint_url=url, region_name="eu-west-1", **named)
    made, _ = make_queue(sqs, "stats-default", tries=3)
    yield sqs, made, {"QUEUE_PREFIX": "stats-", "QUEUE_ENDPOINT": url, **credentials}
    emulator.stop()


def test_with_a_queue_a_worker_counts(process, queue, log):
    """The same commands and another environment; the claims are in the default database."""
    sqs, url, variables = queue

    def manage(*arguments):
        return process("manage.py", *arguments, SHARDS="2", **variables)

    manage("migrate", "--verbosity=0")
    manage("migrate", "horizon_shards", "--database=directory", "--verbosity=0")
    manage("migrate", "--database=track", "--verbosity=0")
    manage("import_access_log", log)
    assert manage("aggregate", "--enqueue") == "Enqueued 2 websites, a task each.\n"
    assert "Tried 2 messages." in manage("work_queue", "--max-tasks=2")
    count = "from aggregate.models import DailyCount; print(DailyCount.objects.count())"
    assert manage("shell", "-v0", "-c", count) == "3\n"
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"
