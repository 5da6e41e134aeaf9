"""Which pages and addresses a browser of ours may ask, and the proxy that sees to it."""

from __future__ import annotations

import asyncio

import pytest

from screenshot.boundary import Boundary, is_allowed
from screenshot.errors import OutOfBounds
from screenshot.proxy import Proxy

SHOP = Boundary.of("shop.example", allows_private=False)


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("https://shop.example", "https://shop.example/"),
        ("HTTPS://Shop.Example.:443/a?b=1#c", "https://shop.example/a?b=1"),
        ("http://www.shop.example/%7Ea", "http://www.shop.example/%7Ea"),
        ("http://shop.example:443/", "http://shop.example:443/"),
    ],
)
def test_a_page_has_one_spelling(url, spelled):
    """So that it is loaded once."""
    assert SHOP.page(url) == spelled


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://shop.example/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("javascript:alert(1)", "only http and https"),
        ("//shop.example/", "only http and https"),
        ("https://other.example/", "it is not on shop.example"),
        ("https://shop.example.other.example/", "it is not on shop.example"),
        ("https://a.shop.example/", "it is not on shop.example"),
        ("https://other.example\\@shop.example/", "a backslash"),
        ("https://shop.example/\nx", "a control character"),
        ("https://shop.example@other.example/", "a user or a password"),
        ("https://u:p@shop.example/", "a user or a password"),
        ("https://shop.example:22/", "port 80 or 443"),
        ("https://shop.example:x/", "is no URL"),
        ("https:///x", "names no host"),
        ("https://shop.example/" + "x" * 1_000, "1,021 characters"),
    ],
)
def test_what_is_no_page_of_the_website_is_refused(url, why):
    """The error says why."""
    with pytest.raises(OutOfBounds, match=why):
        SHOP.page(url)
    assert not SHOP.owns(url)


def test_a_domain_may_name_a_port():
    """As on a developer's machine; an address has no ``www.``."""
    local = Boundary.of("127.0.0.1:8000", allows_private=True)
    assert local.page("http://127.0.0.1:8000/a") == "http://127.0.0.1:8000/a"
    assert not local.owns("http://127.0.0.1/a")
    assert local.hosts == {"127.0.0.1"}
    assert Boundary.of("[::1]:8000", allows_private=True).page("http://[::1]:8000") == "http://[::1]:8000/"
    assert Boundary.of("www.bücher.example", allows_private=False).owns("https://bücher.example/")


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("93.184.215.14", True, True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.0.1", False, True),
        ("fd00::1", False, True),
        ("169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False),
        ("100.64.0.1", False, False),
        ("224.0.0.1", False, False),
        ("::ffff:10.0.0.1", False, True),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("2002:a00:1::1", False, True),
    ],
)
def test_only_public_addresses_are_asked(address, public, private):
    """Private ones where that is allowed, those of a machine's own link never; what stands for another is that one."""
    assert is_allowed(address, private=False) is public
    assert is_allowed(address, private=True) is private


async def _through(boundary: Boundary, host: str, port: int) -> tuple[int, bytes, dict[str, str]]:
    """Ask the proxy for a host: its answer, what the server there said, and what was refused."""
    async with Proxy(boundary) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
        name = host.encode()
        writer.write(b"\x05\x01\x00" + b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
        await reader.readexactly(2)
        answer = (await reader.readexactly(10))[1]
        if answer == 0:
            writer.write(b"hello")
            writer.write_eof()
        said = await reader.read()
        writer.close()
        return answer, said, proxy.refused


def asked(domain: str, *, allows_private: bool, host: str | None = None) -> tuple[int, bytes, dict[str, str]]:
    """What comes back from a server on loopback that repeats in capitals; ``domain`` has its port added."""

    async def repeat(reader, writer):
        writer.write((await reader.read()).upper())
        writer.close()

    async def run():
        async with await asyncio.start_server(repeat, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            boundary = Boundary.of(f"{domain}:{port}", allows_private=allows_private)
            return await _through(boundary, host or domain, port)

    return asyncio.run(run())


def test_the_proxy_reaches_the_website():
    """By name and by address, where private addresses are allowed."""
    assert asked("localhost", allows_private=True)[:2] == (0, b"HELLO")
    assert asked("127.0.0.1", allows_private=True)[:2] == (0, b"HELLO")


def test_the_proxy_does_not_reach_a_private_address():
    """Neither of the website, by any name of it, nor of another host."""
    answer, said, refused = asked("localhost", allows_private=False)
    assert (answer, said) == (2, b"")
    assert "SCREENSHOT_PRIVATE_ADDRESSES" in refused["localhost"]
    assert asked("127.0.0.1", allows_private=True, host="localhost")[:2] == (2, b"")


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f000001", "169.254.169.254"])
def test_other_hosts_may_never_be_private(host):
    """On the ports of HTTP as well, however the address is written."""
    private = Boundary.of("shop.example", allows_private=True)
    answer, _, refused = asyncio.run(_through(private, host, 80))
    assert answer == 2
    assert "has a private address" in refused[host]


@pytest.mark.parametrize(("host", "port"), [("shop.example", 22), ("192.0.2.1", 5432)])
def test_ports_of_other_services_are_refused(host, port):
    """Of the website and of others, whatever their address."""
    answer, _, refused = asyncio.run(_through(SHOP, host, port))
    assert (answer, refused[host]) == (2, f"{host}: port {port} is refused.")


def test_the_proxy_speaks_socks_alone():
    """Anything else is hung up on."""

    async def run():
        async with Proxy(SHOP) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
            writer.write(b"\x05\x01\x00" + b"\x05\x02\x00\x01" + b"\x7f\x00\x00\x01" + b"\x00\x50")
            said = await reader.read()
            writer.close()
            return said

    assert asyncio.run(run()) == b"\x05\x00"
