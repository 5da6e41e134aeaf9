"""``docker-compose.yml``, read: CI has no Docker to run it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="comes with sqlfluff: pip install '.[test]'")

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
EXAMPLE = {name for name, service in SERVICES.items() if service["image"].startswith("horizon-shards-example")}
DOCKERFILE = (ROOT / "example_project/docker/Dockerfile").read_text()
VERSION = re.compile(r":\d+(\.\d+)+(-[a-z]+)?$")


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_and_not_root(name: str) -> None:
    """The same a year from now; and nobody who breaks out of a server is root."""
    service = SERVICES[name]
    assert service["user"] not in ("root", "0")
    image = re.search(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) if name in EXAMPLE else None
    assert VERSION.search(image[1] if image else service["image"])


def test_what_is_waited_for_has_a_health_check() -> None:
    """Or has an end."""
    awaited = {
        (name, how["condition"]) for service in SERVICES.values() for name, how in service.get("depends_on", {}).items()
    }
    for name, condition in awaited:
        checked = "test" in SERVICES[name].get("healthcheck", {})
        assert condition == ("service_healthy" if checked else "service_completed_successfully"), name


def test_only_the_web_is_published_and_on_loopback_alone() -> None:
    """A port without an address would be open to the network."""
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "nginx": ["127.0.0.1:8000:8080"]
    }


def test_each_variable_is_one_of_the_settings() -> None:
    """They document what they read; what begins with AWS is boto3's."""
    config = ROOT / "example_project/config"
    documented = "".join((config / name).read_text() for name in ("settings.py", "databases.py", "screenshots.py"))
    for name in SERVICES["web-1"]["environment"] | SERVICES["screenshots"]["environment"]:
        assert name.startswith("AWS_") or f"``{name}``" in documented, name


def test_the_services_that_the_settings_name_exist() -> None:
    """Hosts in addresses, and the servers behind nginx."""
    addresses = " ".join(map(str, SERVICES["web-1"]["environment"].values()))
    behind = (ROOT / "example_project/docker/nginx.conf").read_text()
    hosts = set(re.findall(r"(?:@|://)([a-z0-9-]+)[:/]\w", addresses)) | set(
        re.findall(r"server ([a-z0-9-]+):", behind)
    )
    assert hosts - SERVICES.keys() <= {"app", "postgres"}
    assert {"cluster-1", "replica-2", "warehouse", "cache-b", "aws", "web-2"} <= hosts
    assert all((ROOT / found["file"]).exists() for found in COMPOSE["configs"].values())


def test_each_image_of_the_example_is_a_target_of_its_file() -> None:
    """And no process runs as root in the end."""
    targets = dict(re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert {SERVICES[name]["build"]["target"] for name in EXAMPLE} == set(targets.values())
    assert all(stage.strip().split("USER ")[-1].startswith("app") for stage in DOCKERFILE.split("FROM ")[1:])


def test_each_queue_has_a_worker_and_only_one_has_a_browser() -> None:
    """A job that another worker received would fail for want of one."""
    working = {
        name: service["command"][3:] for name, service in SERVICES.items() if "work_queue" in service.get("command", ())
    }
    assert working == {"worker": [], "screenshots": ["--queue=screenshots"]}
    assert SERVICES["web-1"]["environment"]["SCREENSHOT_QUEUE"] == "screenshots"
    assert [name for name in EXAMPLE if SERVICES[name]["build"]["target"] == "browser"] == ["screenshots"]
    assert re.search(r"AS browser$.*install[^\n]* chromium.*playwright", DOCKERFILE, re.MULTILINE | re.DOTALL)


def test_the_known_key_seals() -> None:
    """Secrets of jobs cross the queue."""
    fernet = pytest.importorskip("cryptography.fernet", reason="pip install '.[test]'")
    key = SERVICES["web-1"]["environment"]["SCREENSHOT_KEYS"]
    assert fernet.Fernet(key).decrypt(fernet.Fernet(key).encrypt(b"secret")) == b"secret"
    assert SERVICES["screenshots"]["environment"]["SCREENSHOT_KEYS"] == key


def test_no_server_logs_addresses() -> None:
    """By default nginx does, and gunicorn if told to; the application's log has the requests."""
    served = (ROOT / "example_project/docker/nginx.conf").read_text()
    assert served.count("access_log off;") == served.count("server {") == 1
    assert not any("access" in str(SERVICES[name].get("command")) for name in EXAMPLE)
