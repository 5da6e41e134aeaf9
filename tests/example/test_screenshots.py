"""Real screenshots: Chromium on a website of this machine, at once and through a queue."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace

import pytest
import screenshot_parts as parts
from django.core.management import CommandError
from screenshot_parts import LocalSite, first_pixel

from config.queues import read_tasks
from config.screenshots import Screenshots
from horizon_shards.testing.queues import make_queue
from screenshot.boundary import Boundary
from screenshot.crawling import take
from screenshot.errors import BrowserError
from screenshot.jobs import Job
from screenshot.stores import FolderStore, S3Store
from track.models import Website

parts.needs_browser()

BOTH = pytest.mark.django_db(databases=["default", "track"])
SECRET = {"headers": {"X-Token": "hush-1"}, "cookies": {"session": "hush-2"}, "user": "eva", "password": "hush-3"}
WORKERS = 2
RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


def settings_for(folder, **changes):
    """Chromium takes root without its sandbox alone, and the website is on loopback. No test waits for a time-out."""
    usual = Screenshots(
        folder=folder, no_sandbox=os.geteuid() == 0, private_addresses=True, workers=WORKERS, seconds=600
    )
    return replace(usual, **{"browser": os.environ.get("SCREENSHOT_BROWSER", ""), **changes})


def page(colour, *links, more=""):
    """A page of a colour that links to others."""
    return f"<body style='background:{colour}'>{''.join(f'<a href={link!r}>x</a>' for link in links)}{more}"


def inside(headers):
    """A page for those who have all of the secrets, twice as wide and high as a window."""
    known = "hush-1" in headers.get("X-Token", "") and "session=hush-2" in headers.get("Cookie", "")
    if not known or headers.get("Authorization") != "Basic ZXZhOmh1c2gtMw==":
        return 401, {}, b"who is there?"
    return 200, {}, page("green", "/b", more="<p style='height:3000px'>").encode()


def leads_to(url):
    """A page that redirects."""
    return lambda headers: (302, {"Location": url}, b"")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    """One crawl of a website with good pages and bad ones: report, store, the website, another one."""
    with LocalSite({"/": page("blue"), "/i.png": page("red")}, address="127.0.0.2") as other, LocalSite({}) as site:
        elsewhere = f"<img src='{other.url}/i.png'><iframe src='{other.url}/'></iframe>"
        elsewhere += f"<script>fetch('{other.url}/fetched', {{mode: 'no-cors'}})</script>"
        download = 200, {"Content-Type": "application/zip"}, b"PK"
        links = ["/b#1", "/b#2", site.url.upper(), "/gone", "/out", "/file", "/late", "/moved"]
        more = ["mailto:a@b.example", "javascript:void(0)", "ftp://127.0.0.1/", f"{other.url}/linked", "//["]
        site.pages |= {
            "/": page("red", *links, *more, more=elsewhere),
            "/b": page("blue", "/c", "/"),
            "/c": page("blue", "/d"),
            "/d": page("blue"),
            "/out": leads_to(f"{other.url}/redirected"),
            "/late": f"<script>location = '{other.url}/scripted'</script>" + "<p>" * 9,
            "/moved": leads_to("/b"),
            "/file": lambda headers: download,
        }
        store = FolderStore(tmp_path_factory.mktemp("shots"))
        job = Job.now(7, site.url, {"depth": 2, "pages": 50, "width": 640, "height": 480, **SECRET})
        boundary = Boundary.of(site.domain, allows_private=True)
        report = take(job, boundary=boundary, store=store, found=settings_for(None))
        yield report, store, site, other


def test_a_crawl_takes_each_page_once(crawl):
    """As deep as told; two links to one page are one, a redirect to it adds none."""
    report, store, site, _ = crawl
    assert sorted(shot.url for shot in report.shots) == [f"{site.url}{path}" for path in ("/", "/b", "/c")]
    assert set(store.newest(7, limit=99)) == set(report.shots)
    assert (site.times("/"), site.times("/c"), site.times("/d")) == (1, 1, 0)
    assert site.times("/b") == 2  # itself, and by the redirect


def test_a_screenshot_is_a_picture_of_the_page(crawl):
    """In the size of the window; the page that was asked for comes first."""
    _, store, site, _ = crawl
    first, *others = store.newest(7, limit=99)
    assert (first.url, first.is_first, first.width, first.height) == (f"{site.url}/", True, 640, 480)
    assert first_pixel(store.image(7, first.name)) == RED
    assert {first_pixel(store.image(7, shot.name)) for shot in others} == {BLUE}


def test_a_page_that_fails_is_told_and_the_others_are_not_lost(crawl):
    """What is missing, what leads out of the website, at once or by a script, and what is no page."""
    report, _, site, other = crawl
    errors = {url.removeprefix(site.url): error for url, error in report.errors.items()}
    assert sorted(errors) == ["/file", "/gone", "/late", "/out"]
    assert errors["/gone"] == "answered 404."
    assert errors["/out"].startswith(f"leads to {other.url}/redirected, which is no page")
    assert errors["/late"].startswith(f"leads to {other.url}/scripted")
    assert "\n" not in errors["/file"]


def test_the_browser_speaks_to_no_other_private_address(crawl):
    """Neither for a link nor a redirect, a script, a picture, a frame or a request."""
    assert crawl[3].asked == []


def test_the_website_gets_the_secrets(crawl):
    """With each of its pages."""
    asked = [headers for path, headers in crawl[2].asked if path in ("/", "/b", "/c")]
    assert {headers["X-Token"] for headers in asked} == {"hush-1"}
    assert {headers["Cookie"] for headers in asked} == {"session=hush-2"}
    assert {headers["Authorization"] for headers in asked} == {"Basic ZXZhOmh1c2gtMw=="}


def test_pages_are_loaded_by_as_many_workers_as_told(tmp_path):
    """Always two of them at once, and never three: each page waits for another one, and a little for a third."""
    pair, at_once, most = threading.Barrier(WORKERS), [], []

    def paired(headers):
        at_once.append(1)
        pair.wait(600)
        time.sleep(0.3)
        most.append(len(at_once))
        at_once.pop()
        return 200, {}, page("blue").encode()

    paths = [f"/{n}" for n in range(3 * WORKERS)]
    with LocalSite({"/": page("red", *paths), **dict.fromkeys(paths, paired)}) as site:
        boundary = Boundary.of(site.domain, allows_private=True)
        job = Job.now(7, site.url, {"depth": 1, "pages": 99})
        report = take(job, boundary=boundary, store=FolderStore(tmp_path), found=settings_for(None))
    assert (len(report.shots), report.errors) == (1 + len(paths), {})
    assert max(most) <= WORKERS


@pytest.fixture
def website(settings, tmp_path):
    """A website whose page needs secrets; the screenshots are in a folder."""
    settings.SCREENSHOTS = settings_for(tmp_path / "shots")
    with LocalSite({"/": inside}) as site:
        yield Website.objects.create(domain=site.domain), site


@BOTH
def test_the_command_takes_a_screenshot_and_the_dashboard_shows_it(run, client, website, settings, tmp_path):
    """With a configuration from a file, of the whole page."""
    fernet = pytest.importorskip("cryptography.fernet")
    settings.SCREENSHOTS = replace(settings.SCREENSHOTS, keys=(fernet.Fernet.generate_key().decode(),))
    site, there = website
    (tmp_path / "config.json").write_text(json.dumps({"wait_for": "p", **SECRET}))
    said = run("screenshot", site.key, f"{there.url}/", "--full-page", f"--config={tmp_path / 'config.json'}")
    assert said == f"1 screenshots of {site.domain}, 0 pages failed.\n"
    shot = client.get(site.get_absolute_url()).context["screenshot"]
    assert shot.height >= 3_000
    image = client.get(f"/sites/{site.key}/screenshots/{shot.name}").content
    assert first_pixel(image) == GREEN
    assert shot.name in run("screenshot", site.key, "--list")
    assert "hush" not in "".join(file.read_text() for file in tmp_path.rglob("shots/**/*.json"))


@BOTH
def test_a_website_at_a_private_address_is_refused(run, website, settings):
    """By default; the error names the setting."""
    settings.SCREENSHOTS = replace(settings.SCREENSHOTS, private_addresses=False)
    with pytest.raises(
        CommandError, match=r"http://127\.0\.0\.1.*: 127\.0\.0\.1 has a private address, which is refused"
    ):
        run("screenshot", website[0].key, f"{website[1].url}/")
    assert website[1].asked == []


@BOTH
def test_what_the_command_cannot_do_is_told_in_a_line(run, website, tmp_path):
    """Without a browser's start."""
    key = website[0].key
    for arguments, why in [
        (["https://other.example/"], r"is refused: it is not on 127\.0\.0\.1, port"),
        (["--width=1"], "'width' is 1: write a whole number"),
        ([f"--config={tmp_path}"], "cannot be read as JSON"),
    ]:
        with pytest.raises(CommandError, match=why):
            run("screenshot", key, *arguments)


def test_a_browser_that_does_not_start_is_told(tmp_path):
    """With the cure."""
    boundary = Boundary.of("a.example", allows_private=False)
    job = Job.now(7, "https://a.example/", {})
    causes = {"/no/such/chromium": settings_for(tmp_path, browser="/no/such/chromium")}
    if os.geteuid() == 0:
        causes["SCREENSHOT_NO_SANDBOX=1"] = settings_for(tmp_path, no_sandbox=False)
    for why, found in causes.items():
        with pytest.raises(BrowserError, match=why):
            take(job, boundary=boundary, store=FolderStore(tmp_path), found=found)


@pytest.fixture
def queue(settings, monkeypatch, tmp_path):
    """A queue and a bucket on moto's server, as the environment of a project in production names them."""
    fernet = pytest.importorskip("cryptography.fernet")
    with parts.moto() as url:
        sqs, s3 = parts.client("sqs", url), parts.client("s3", url)
        parts.make_bucket(s3, "shots")
        queue, _ = make_queue(sqs, "stats-default", tries=3)
        monkeypatch.setenv("QUEUE_PREFIX", "stats-")
        monkeypatch.setenv("QUEUE_ENDPOINT", url)
        tasks = read_tasks()
        tasks["default"]["OPTIONS"] |= {"WAIT_SECONDS": 0, "RETRY_SECONDS": 0}
        settings.TASKS = tasks
        key = fernet.Fernet.generate_key().decode()
        settings.SCREENSHOTS = settings_for(None, bucket="shots", endpoint=url, keys=(key,))
        yield sqs, s3, queue


@BOTH
def test_through_a_queue_a_worker_takes_it_to_s3(run, website, queue, settings, tmp_path):
    """Nothing of the secrets can be read in the message; a message that comes again has no second effect."""
    sqs, s3, url = queue
    site, there = website
    (tmp_path / "config.json").write_text(json.dumps(SECRET))
    said = run("screenshot", site.key, f"{there.url}/", f"--config={tmp_path / 'config.json'}")
    assert said == f"Enqueued: {there.url}/\n"
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    assert "take_screenshots" in message["Body"]
    assert "hush" not in message["Body"]
    assert "eva" not in message["Body"]
    run("work_queue", "--max-tasks=1")
    sqs.send_message(QueueUrl=url, MessageBody=message["Body"])
    run("work_queue", "--max-tasks=1")
    (entry,) = s3.list_objects_v2(Bucket="shots")["Contents"]
    (shot,) = S3Store(settings.SCREENSHOTS).newest(site.pk, limit=9)
    assert entry["Key"] == f"screenshots/{site.pk}/{shot.name}"
    assert first_pixel(S3Store(settings.SCREENSHOTS).image(site.pk, shot.name)) == GREEN
    tags = s3.get_object_tagging(Bucket="shots", Key=entry["Key"])["TagSet"]
    assert {"Key": "status", "Value": "200"} in tags
    assert there.times("/") == 1
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"
