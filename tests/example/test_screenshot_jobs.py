"""What a job may say, and what of it can be read on its way."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from config.screenshots import Screenshots, read_screenshots
from screenshot.configuration import Look, Secrets, read_config
from screenshot.errors import ConfigError, SealError
from screenshot.jobs import Job
from screenshot.sealing import seal, unseal

SECRET = {"headers": {"X-Token": "hush-1"}, "cookies": {"session": "hush-2"}, "user": "eva", "password": "hush-3"}
URL = "https://shop.example/"


@pytest.fixture(scope="module")
def keys():
    """Three keys."""
    fernet = pytest.importorskip("cryptography.fernet", reason="needs cryptography: the extra `screenshot`")
    return [fernet.Fernet.generate_key().decode() for _ in range(3)]


def test_a_job_says_how_its_page_is_loaded():
    """What it leaves out is the default."""
    look, secrets = read_config({"width": 390, "full_page": True, "wait_seconds": 0.5, **SECRET})
    assert look == Look(width=390, full_page=True, wait_seconds=0.5)
    assert secrets.all_headers() == {"X-Token": "hush-1", "Authorization": "Basic ZXZhOmh1c2gtMw=="}
    assert read_config({}) == (Look(), Secrets())


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ([], "JSON object"),
        ({"widht": 1_000}, "did you mean 'width'"),
        ({"width": 100_000}, r"'width' is 100000: write a whole number from 200 to 4,096"),
        ({"width": True}, "'width'"),
        ({"height": 800.5}, "'height'"),
        ({"wait_seconds": float("nan")}, "'wait_seconds'"),
        ({"depth": -1}, "'depth'"),
        ({"pages": 0}, "'pages'"),
        ({"full_page": 1}, "'full_page'"),
        ({"wait_for": "a\nb"}, "'wait_for'"),
        ({"headers": []}, "'headers'"),
        ({"headers": {"Host": "hush"}}, "'Host'"),
        ({"headers": {"a b": "hush"}}, "'a b'"),
        ({"headers": {"X-A": "hush\r\nX-B: 1"}}, "headers: X-A"),
        ({"headers": {"X-A": 1}}, "headers: X-A"),
        ({"cookies": {"a": "hush; domain=x"}}, "cookies: a"),
        ({"user": "a:b", "password": "hush"}, "'user' and 'password'"),
        ({"password": "hush"}, "'user' and 'password'"),
    ],
)
def test_a_configuration_that_is_not_right_is_refused(config, why):
    """The error names what is wrong, and shows no secret."""
    with pytest.raises(ConfigError, match=why) as caught:
        read_config(config)
    assert "hush" not in str(caught.value)


def test_a_job_travels_as_json_with_its_secrets_sealed(keys):
    """What is read at the end is what was sent."""
    job = Job.now(7, URL, {"depth": 2, "pages": 5, **SECRET})
    sent = json.dumps(job.message(keys=keys))
    assert "hush" not in sent
    assert "eva" not in sent
    assert Job.of_message(json.loads(sent), keys=keys) == job


def test_a_job_without_secrets_needs_no_key():
    """And no cryptography."""
    job = Job.now(7, URL, {"full_page": True})
    assert Job.of_message(job.message(keys=[]), keys=[]) == job


def test_no_repr_shows_a_secret(keys):
    """Neither of a job nor of the settings: they end in logs."""
    shown = repr(Job.now(7, URL, SECRET)) + repr(replace(Screenshots(folder=None), keys=tuple(keys)))
    assert not any(secret in shown for secret in ["hush", "eva", *keys])


def test_keys_rotate(keys):
    """The first seals, all open: jobs that wait while a key is replaced are not lost."""
    old, new, other = keys
    waiting = seal(SECRET, site_id=7, keys=[old])
    assert unseal(waiting, site_id=7, keys=[new, old]) == SECRET
    assert unseal(seal(SECRET, site_id=7, keys=[new, old]), site_id=7, keys=[new]) == SECRET
    with pytest.raises(SealError, match="not among SCREENSHOT_KEYS"):
        unseal(waiting, site_id=7, keys=[new, other])


def test_a_missing_or_wrong_key_is_told(keys):
    """With the cure, and without the key."""
    job = Job.now(7, URL, SECRET)
    with pytest.raises(SealError, match=r"SCREENSHOT_KEYS is not set\. Make a key: python -c"):
        job.message(keys=[])
    with pytest.raises(SealError, match="no key of Fernet") as caught:
        job.message(keys=[keys[0], "no-such-key"])
    assert "no-such-key" not in str(caught.value)
    with pytest.raises(SealError, match="not among SCREENSHOT_KEYS"):
        Job.of_message(job.message(keys=keys[:1]), keys=keys[1:])


def test_secrets_are_good_for_one_website(keys):
    """Whoever can write to the queue cannot send them elsewhere."""
    message = Job.now(7, URL, SECRET).message(keys=keys)
    with pytest.raises(SealError, match="another website"):
        Job.of_message({**message, "site": 8}, keys=keys)


def test_a_message_is_checked_on_its_way_out(keys):
    """It may be another release's, or nobody's."""
    message = Job.now(7, URL, {}).message(keys=keys)
    with pytest.raises(ConfigError, match="version 1"):
        Job.of_message({**message, "v": 2}, keys=keys)
    with pytest.raises(ConfigError, match="'pages'"):
        Job.of_message({**message, "look": {"pages": 10_000}}, keys=keys)


def test_settings_are_read_from_the_environment(monkeypatch, tmp_path):
    """A folder, a sandbox and no private addresses, unless told otherwise."""
    for name in ("BUCKET", "FOLDER", "NO_SANDBOX", "PRIVATE_ADDRESSES", "KEYS"):
        monkeypatch.delenv(f"SCREENSHOT_{name}", raising=False)
    assert read_screenshots(tmp_path) == Screenshots(folder=tmp_path / "screenshots")
    monkeypatch.setenv("SCREENSHOT_BUCKET", "shots")
    monkeypatch.setenv("SCREENSHOT_KEYS", "new, old")
    monkeypatch.setenv("SCREENSHOT_WORKERS", "0")
    found = read_screenshots(tmp_path)
    assert (found.bucket, found.keys, found.workers) == ("shots", ("new", "old"), 1)
