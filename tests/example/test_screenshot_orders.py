"""Jobs that are posted: who may, what is refused, and what of them can be read in the queue."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import screenshot_parts as parts
from django.contrib.auth.models import Permission, User
from django.test import Client

from config.queues import read_tasks
from horizon_shards.testing.queues import make_queue
from screenshot.jobs import Job
from track.models import Website

pytestmark = pytest.mark.django_db(databases=["default", "track"])
SECRET = {"cookies": {"session": "hush-1"}, "user": "eva", "password": "hush-2"}


@pytest.fixture
def website():
    """A website."""
    return Website.objects.create(domain="shop.example")


@pytest.fixture
def editor(client):
    """Logs in a user who may change websites."""
    user = User.objects.create_user("editor")
    user.user_permissions.add(Permission.objects.get(codename="change_website"))
    client.force_login(user)
    return user


def posted(client, website, body):
    """The answer to a job that is posted."""
    text = body if isinstance(body, str) else json.dumps(body)
    return client.post(f"/sites/{website.key}/screenshots/", text, content_type="application/json")


def test_others_may_not(client, website):
    """Neither strangers nor users who may look."""
    assert posted(client, website, {}).status_code == 403
    client.force_login(User.objects.create_user("reader"))
    assert posted(client, website, {}).status_code == 403
    assert client.get(f"/sites/{website.key}/screenshots/").status_code == 405


def test_another_page_may_not_post_in_the_name_of_a_user(website, editor):
    """There has to be a token."""
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(editor)
    assert posted(strict, website, {}).status_code == 403


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ({"url": 1}, "no JSON object"),
        ({"url": "http://169.254.169.254/"}, "it is not on shop.example"),
        ({"widht": 1}, "did you mean 'width'"),
        ({"password": "hush"}, "'user' and 'password'"),
        (SECRET, "SCREENSHOT_KEYS is not set"),
    ],
)
def test_what_is_not_right_is_refused_at_once(client, website, editor, settings, body, why):
    """And not at the end of a queue; no secret is shown."""
    settings.SCREENSHOTS = replace(settings.SCREENSHOTS, keys=())
    answer = posted(client, website, body)
    assert answer.status_code == 400
    assert why in answer.json()["error"]
    assert "hush" not in answer.json()["error"]


def test_a_job_waits_in_the_queue_with_its_secrets_sealed(client, website, editor, settings, monkeypatch):
    """The message shows the page and not the secrets; whoever has the key reads them."""
    fernet = pytest.importorskip("cryptography.fernet", reason="needs cryptography: the extra `screenshot`")
    keys = (fernet.Fernet.generate_key().decode(),)
    settings.SCREENSHOTS = replace(settings.SCREENSHOTS, keys=keys)
    with parts.moto() as url:
        sqs = parts.client("sqs", url)
        queue, _ = make_queue(sqs, "stats-default", tries=3)
        monkeypatch.setenv("QUEUE_PREFIX", "stats-")
        monkeypatch.setenv("QUEUE_ENDPOINT", url)
        settings.TASKS = read_tasks()
        answer = posted(client, website, {"url": "https://shop.example/cart", "depth": 3, **SECRET})
        assert (answer.status_code, answer.json()["done"]) == (202, False)
        (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert "https://shop.example/cart" in message["Body"]
    assert "hush" not in message["Body"]
    assert "eva" not in message["Body"]
    (sent,) = json.loads(message["Body"])["args"]
    job = Job.of_message(sent, keys=keys)
    assert (job.secrets.cookies, job.secrets.password, job.look.depth) == ({"session": "hush-1"}, "hush-2", 3)


def test_without_a_queue_a_page_that_fails_is_told(client, website, editor, settings):
    """It is done at once, and here there is no such browser."""
    settings.SCREENSHOTS = replace(settings.SCREENSHOTS, browser="/no/such/chromium")
    answer = posted(client, website, {})
    assert answer.status_code == 502
    assert "/no/such/chromium" in answer.json()["error"] or "Playwright" in answer.json()["error"]
