"""What tests of screenshots run against: a website on loopback, and AWS by moto's server."""

from __future__ import annotations

import os
import shutil
import threading
import urllib.request
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}


def needs_browser():
    """Skip where there is no browser to be had."""
    pytest.importorskip("playwright", reason="needs Playwright: the extra `screenshot`")
    if not (os.environ.get("SCREENSHOT_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)


def first_pixel(png: bytes) -> tuple[int, int, int]:
    """The colour in the upper left corner: whatever a line's filter, its first pixel of the first line is plain."""
    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    return tuple(zlib.decompress(data)[1:4])


class LocalSite:
    """A website on an address of loopback: pages by path, and what was asked for.

    A page is its HTML, or a function of the request's headers that gives status, headers and body.
    """

    def __init__(self, pages, *, address="127.0.0.1"):
        site = self
        self.pages = pages
        self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append((self.path, dict(self.headers)))
                self._answer(*site._answer(self.path, self.headers))

            def _answer(self, status, headers, body):
                self.send_response(status)
                for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self.domain = f"{address}:{self._server.server_port}"
        self.url = f"http://{self.domain}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def times(self, path):
        """How often a path was asked for."""
        return [asked for asked, _ in self.asked].count(path)

    def _answer(self, path, headers):
        page = self.pages.get(path)
        if page is None:
            return 404, {}, b"no such page"
        return page(headers) if callable(page) else (200, {}, page.encode())


@contextmanager
def moto():
    """The address of moto's server; its credentials are in the environment meanwhile."""
    server = pytest.importorskip("moto.server", reason="needs moto's server: pip install 'moto[server,s3,sqs]'")
    emulator = server.ThreadedMotoServer("127.0.0.1", 0)
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    os.environ.update(CREDENTIALS)
    emulator.start()
    host, port = emulator.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        # What it holds is the process's, not the server's.
        urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
        emulator.stop()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def client(service, url):
    """A client of boto3 that speaks to the emulator."""
    import boto3

    return boto3.session.Session().client(service, endpoint_url=url)


def make_bucket(s3, name):
    """A bucket in the region of the tests."""
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": CREDENTIALS["AWS_DEFAULT_REGION"]})
