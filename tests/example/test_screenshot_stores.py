"""Where screenshots are kept, in which order they come back, and how the dashboard shows them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import screenshot_parts as parts

from config.screenshots import Screenshots
from screenshot.errors import StoreError
from screenshot.shots import Shot, shot_of
from screenshot.stores import FolderStore, S3Store
from track.models import Website

SHOT = Shot(7, "https://a.example/?x=1&y=%20", 1_790_000_000_000, True, 200, 1280, 800)  # fmt: skip
PNG = b"\x89PNG of a test"


@pytest.fixture(scope="module")
def bucket():
    """A bucket on moto's server: settings and client."""
    with parts.moto() as url:
        s3 = parts.client("s3", url)
        parts.make_bucket(s3, "shots")
        yield Screenshots(folder=None, bucket="shots", endpoint=url), s3


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    """Each place in turn."""
    if request.param == "folder":
        return FolderStore(tmp_path)
    return S3Store(request.getfixturevalue("bucket")[0])


def test_names_are_frozen():
    """They are stored: another name is a screenshot that is not found."""
    assert SHOT.name == "9005409254740991-0-fb8411d2e3e91514.png"
    assert replace(SHOT, is_first=False, url="https://a.example/").name == "9005409254740991-1-befde498a45b6c82.png"
    assert shot_of(7, SHOT.name, SHOT.facts()) == SHOT
    assert f"{SHOT.asked:%Y-%m-%d %H:%M:%S}" == "2026-09-21 14:13:20"


def test_the_newest_come_first(place):
    """Of one job the page that was asked for; other websites have theirs."""
    older, newer = replace(SHOT, site_id=8), replace(SHOT, site_id=8, asked_ms=SHOT.asked_ms + 1)
    linked = [replace(newer, url=f"https://a.example/{n}", is_first=False) for n in range(3)]
    for shot in [older, *linked, newer, replace(SHOT, site_id=88)]:
        place.put(shot, PNG)
    found = place.newest(8, limit=9)
    assert (found[0], found[-1]) == (newer, older)
    assert set(found) == {older, newer, *linked}
    assert place.newest(8, limit=1) == [newer]
    assert place.newest(9, limit=1) == []


def test_a_second_try_replaces_the_first(place):
    """The name is the same."""
    shot = replace(SHOT, site_id=10)
    place.put(shot, b"first")
    place.put(shot, b"second")
    assert place.newest(10, limit=9) == [shot]
    assert place.image(10, shot.name) == b"second"


def test_what_is_no_name_is_not_read(place, tmp_path):
    """Neither what is not there nor what is beside it."""
    place.put(SHOT, PNG)
    (tmp_path / "secret").write_text("hush")
    assert place.image(7, SHOT.name) == PNG
    for name in (f"{SHOT.name}.json", "../secret", "..", replace(SHOT, asked_ms=1).name):
        assert place.image(7, name) is None


def test_objects_have_tags(bucket):
    """For rules of life cycles; the URL is no tag, as tags do not take all of its characters."""
    found, s3 = bucket
    S3Store(found).put(SHOT, PNG)
    tags = s3.get_object_tagging(Bucket="shots", Key=f"screenshots/7/{SHOT.name}")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "site": "7", "page": "first", "asked": "2026-09-21", "size": "1280x800", "status": "200",
    }  # fmt: skip
    head = s3.head_object(Bucket="shots", Key=f"screenshots/7/{SHOT.name}")
    assert (head["ContentType"], head["Metadata"]["url"]) == ("image/png", SHOT.url)


def test_a_place_that_does_not_answer_is_told(bucket, tmp_path):
    """By its name."""
    with pytest.raises(StoreError, match="The bucket nowhere"):
        S3Store(replace(bucket[0], bucket="nowhere")).newest(7, limit=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="The folder of screenshots"):
        FolderStore(tmp_path / "file").put(SHOT, PNG)


def test_nobody_else_may_look_into_the_folder(tmp_path):
    """A page behind a login is nobody's business."""
    FolderStore(tmp_path / "shots").put(SHOT, PNG)
    assert (tmp_path / "shots" / "7").stat().st_mode & 0o077 == 0
    assert (tmp_path / "shots" / "7" / SHOT.name).stat().st_mode & 0o077 == 0


@pytest.mark.django_db(databases=["default", "track"])
def test_the_dashboard_shows_the_newest(client, settings, tmp_path):
    """Through the project, and only what is there."""
    settings.SCREENSHOTS = Screenshots(folder=tmp_path)
    site = Website.objects.create(domain="a.example")
    assert b"<h2>Screenshot</h2>" not in client.get(site.get_absolute_url()).content
    newer = replace(SHOT, site_id=site.pk, asked_ms=SHOT.asked_ms + 1)
    for shot in (newer, replace(SHOT, site_id=site.pk)):
        FolderStore(tmp_path).put(shot, PNG)
    page = client.get(site.get_absolute_url())
    path = f"/sites/{site.key}/screenshots/{newer.name}"
    assert page.context["screenshot"] == newer
    assert f'src="{path}"' in page.content.decode()
    image = client.get(path)
    assert (image.content, image["Content-Type"]) == (PNG, "image/png")
    assert client.get(f"/sites/{site.key}/screenshots/{SHOT.name}x").status_code == 404
    assert client.get(f"/sites/nowhere/screenshots/{newer.name}").status_code == 404
    assert client.post(path).status_code == 405


@pytest.mark.django_db(databases=["default", "track"])
def test_a_dashboard_does_without_a_store_that_does_not_answer(client, settings, tmp_path, caplog):
    """It is logged."""
    settings.SCREENSHOTS = Screenshots(folder=tmp_path)
    site = Website.objects.create(domain="a.example")
    (tmp_path / str(site.pk)).mkdir()
    (tmp_path / str(site.pk) / SHOT.name).write_bytes(PNG)  # without its facts
    assert client.get(site.get_absolute_url()).status_code == 200
    assert "could not be listed" in caplog.text
