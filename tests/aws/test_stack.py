"""A page that a real browser opens travels from the tracker to the dashboard, and jobs become screenshots.

The servers are those of tests/servers/stack.py.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.servers.processes import free_ports, open_folder

webdriver = pytest.importorskip("selenium.webdriver", reason="needs the extra stack: pip install '.[stack]'")
for module in ("MySQLdb", "gunicorn", "ministack", "dj_database_url"):
    pytest.importorskip(module, reason="needs the extra stack: pip install '.[stack]'")
for program in ("mariadbd", "memcached", "chromium", "chromedriver"):
    if shutil.which(program, path="/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin") is None:
        pytest.skip(f"needs {program}", allow_module_level=True)

from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from tests.servers.memcached import Memcached  # noqa: E402
from tests.servers.stack import BUCKET, SCREENSHOTS, Stack, serve  # noqa: E402
from tests.waiting import wait_until  # noqa: E402

PATIENCE_SECONDS = 120
PAGE = """<!doctype html><title>A shop</title><h1>Umbrellas</h1>
<script defer src="{tracker}/t/track.js" data-site="umbrella.example"></script>"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All of it, with a website that nobody has visited."""
    with open_folder() as folder:
        started = Stack(folder, port=free_ports(1)[0])
        try:
            started.up(workers=1)
            started.run("manage.py", "shell", "-c", NEW_SITE)
            yield started
        finally:
            started.down()


NEW = "from track.models import Website; Website.objects.create"
NEW_SITE = f"{NEW}(domain='umbrella.example', key='umbrella.example')"


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: Any) -> Iterator[str]:
    """The address of a shop, of another origin than the tracker whose snippet it has."""
    folder = tmp_path_factory.mktemp("shop")
    for name in ("umbrellas", "boots"):
        (folder / f"{name}.html").write_text(PAGE.format(tracker=stack.url))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and writes no log."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def browser(tmp_path_factory: Any) -> Iterator[Any]:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    # Root may not use Chromium's sandbox; the pages are the test's own.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1600"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def test_from_the_browser_to_the_dashboard(stack: Stack, shop: str, browser: Any) -> None:
    """Two pages and a reload: what the browser sent is in the warehouse, and on the page of trends."""
    for page in ("umbrellas", "boots", "umbrellas"):
        browser.get(f"{shop}/{page}.html")
        WebDriverWait(browser, PATIENCE_SECONDS).until(is_reported)
    wait_until(lambda: delivered(stack) == 3, "all views are delivered")
    assert " 3 rows, " in stack.load()
    browser.get(f"{stack.url}/trends/?days=7")
    shown = {row[1]: row[2] for row in words(browser, "table tr") if row[:1] == ["umbrella.example"]}
    assert shown == {"/umbrellas.html": "2", "/boots.html": "1"}
    browser.get(f"{stack.url}/sites/umbrella.example/?days=7")
    assert words(browser, ".rankings li")[:2] == [["/umbrellas.html", "2"], ["/boots.html", "1"]]
    (visitor,) = [row for row in words(browser, "table tr") if "Chrome" in " ".join(row)]
    assert "3" in visitor, "The profile of the visitor is in DynamoDB."
    assert stack.load().startswith("0 objects loaded"), "Each delivered object is loaded once."


def test_a_job_from_the_queue_is_a_screenshot_in_s3_and_on_the_dashboard(stack: Stack, shop: str, browser: Any) -> None:
    """The worker with the browser takes it, while the other one is frozen."""
    pytest.importorskip("playwright", reason="needs the extra screenshot: pip install '.[screenshot]'")
    domain, other = shop.removeprefix("http://"), stack.processes["worker-1"]
    stack.run("manage.py", "shell", "-c", f"{NEW}(domain='{domain}', key='shop')")
    other.freeze()
    assert stack.run("manage.py", "screenshot", "shop", f"{shop}/boots.html").startswith("Enqueued: ")
    wait_until(lambda: screenshots(stack), "the screenshot is in the bucket")
    other.thaw()
    (key,) = screenshots(stack)
    s3 = stack.aws.client("s3")
    tags = s3.get_object_tagging(Bucket=SCREENSHOTS, Key=key)["TagSet"]
    assert {"page": "first", "size": "1280x800", "status": "200"}.items() <= {
        tag["Key"]: tag["Value"] for tag in tags
    }.items()
    browser.get(f"{stack.url}/sites/shop/?days=7")
    shown = WebDriverWait(browser, PATIENCE_SECONDS).until(lambda driver: drawn(driver, "img[src*='screenshots']"))
    assert shown["size"] == [1280, 800]
    assert shown["name"] == key.rpartition("/")[2]


def test_what_has_begun_is_ended_where_the_next_server_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing begins before it is told to; then a failure ends all of it."""
    begun: list[Memcached] = []

    def start(cache: Memcached) -> None:
        if begun:
            raise RuntimeError("The second one does not start.")
        begun.append(cache)
        original(cache)
        assert cache.process.pid() is not None

    original = Memcached.start
    monkeypatch.setattr(Memcached, "start", start)
    with pytest.raises(RuntimeError, match="second one"):
        serve(free_ports(1)[0], pause_seconds=1)
    assert [cache.process.pid() for cache in begun] == [None]


def screenshots(stack: Stack) -> list[str]:
    """The keys in the bucket of screenshots."""
    found = stack.aws.client("s3").list_objects_v2(Bucket=SCREENSHOTS)
    return [entry["Key"] for entry in found.get("Contents", ())]


def drawn(browser: Any, selector: str) -> Any:
    """The size and the file of a picture that the browser has drawn; None until then."""
    return browser.execute_script(
        """const image = document.querySelector(arguments[0]);
        image?.scrollIntoView();
        if (!image?.complete || !image.naturalWidth) return null;
        const path = new URL(image.src).pathname;
        return {size: [image.naturalWidth, image.naturalHeight], name: path.split("/").at(-1)}""",
        selector,
    )


def words(browser: Any, selector: str) -> list[list[str]]:
    """The words of each of these elements of a page."""
    return [found.text.split() for found in browser.find_elements("css selector", selector)]


def is_reported(browser: Any) -> bool:
    """Whether the beacon of this page is on its way."""
    return bool(
        browser.execute_script("return performance.getEntriesByType('resource').some(e => e.name.endsWith('/t/event'))")
    )


def delivered(stack: Stack) -> int:
    """How many views lie in the bucket."""
    s3 = stack.aws.client("s3")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET, Prefix="views/").get("Contents", ())]
    return sum(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().count(b"\n") for key in keys)
