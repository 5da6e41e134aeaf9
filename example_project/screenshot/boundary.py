"""Which URLs belong to a website, and which addresses its browser may speak to."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from screenshot.errors import OutOfBounds

PORTS = {"http": 80, "https": 443}
#: Longer ones are refused; S3 keeps 2 KB of what is said of an object.
MAX_URL_LENGTH = 1_000
#: What one parser reads as an end and another one does not.
AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
#: Addresses behind a translator to IPv4 (RFC 6052).
NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Boundary:
    """A website: its hosts, with and without ``www.``, and the port that its domain names, else those of HTTP.

    ``allows_private``: whether these hosts may have private addresses. Other hosts never may: a page that shows
    pictures from elsewhere gets them from the public internet.
    """

    hosts: frozenset[str]
    ports: frozenset[int]
    allows_private: bool = False

    @classmethod
    def of(cls, domain: str, *, allows_private: bool) -> Boundary:
        """The boundary of a domain like ``shop.example`` or ``127.0.0.1:8000``."""
        parts = _split(f"//{domain}")
        host = _host(parts)
        bare = host.removeprefix("www.")
        is_name = not (":" in host or bare.replace(".", "").isdecimal())
        ports = frozenset([parts.port]) if parts.port else frozenset(PORTS.values())
        return cls(frozenset([bare, f"www.{bare}"] if is_name else [host]), ports, allows_private)

    def page(self, url: str) -> str:
        """The URL in its one spelling, without fragment; raises ``OutOfBounds`` that says why it is none of these."""
        parts = _split(url)
        if parts.scheme not in PORTS:
            raise OutOfBounds(f"{url[:100]!r} is refused: only http and https are loaded.")
        if parts.username is not None or parts.password is not None:
            raise OutOfBounds("A URL with a user or a password is refused: put them into the job's configuration.")
        host, port = _host(parts), parts.port or PORTS[parts.scheme]
        if host not in self.hosts or port not in self.ports:
            raise OutOfBounds(
                f"{url[:100]!r} is refused: it is not on {' or '.join(sorted(self.hosts))}, {self._ports()}."
            )
        place = f"[{host}]" if ":" in host else host
        place = place if port == PORTS[parts.scheme] else f"{place}:{port}"
        query = f"?{parts.query}" if parts.query else ""
        return f"{parts.scheme}://{place}{parts.path or '/'}{query}"

    def owns(self, url: str) -> bool:
        """Whether it is a page of the website."""
        try:
            self.page(url)
        except OutOfBounds:
            return False
        return True

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses at which a host may be spoken to; raises ``OutOfBounds`` where there are none."""
        host = host.lower().rstrip(".")
        is_own = host in self.hosts
        if port not in (self.ports if is_own else PORTS.values()):
            raise OutOfBounds(f"{host}: port {port} is refused.")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise OutOfBounds(f"{host} has no address: {error}.") from error
        allowed = [
            str(info[4][0]) for info in found if is_allowed(str(info[4][0]), private=is_own and self.allows_private)
        ]
        if not allowed:
            raise OutOfBounds(
                f"{host} has a private address, which is refused; SCREENSHOT_PRIVATE_ADDRESSES=1 allows those of the "
                "website itself, on a developer's machine."
            )
        return allowed

    def _ports(self) -> str:
        return f"port {' or '.join(map(str, sorted(self.ports)))}"


def is_allowed(text: str, *, private: bool) -> bool:
    """Whether an address is public, or private where that is allowed; link-local ones never are.

    The address of a machine's metadata in a cloud is a link-local one.
    """
    address = _meant(ipaddress.ip_address(text.partition("%")[0]))
    if address.is_multicast or address.is_link_local or address.is_unspecified or address.is_reserved:
        return address.is_loopback and private
    return address.is_global or (private and address.is_private)


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


def _split(url: str) -> SplitResult:
    if len(url) > MAX_URL_LENGTH:
        raise OutOfBounds(f"A URL of {len(url):,} characters is refused: {url[:100]!r}...")
    if AMBIGUOUS.search(url):
        raise OutOfBounds(f"{url[:100]!r} is refused: it has a space, a control character or a backslash.")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is read here so that a wrong one is told here
    except ValueError as error:
        raise OutOfBounds(f"{url[:100]!r} is no URL: {error}.") from error
    return parts


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    try:
        host = host if ":" in host else host.encode("idna").decode()
    except UnicodeError as error:
        raise OutOfBounds(f"{host[:100]!r} is no host.") from error
    if not host:
        raise OutOfBounds(f"{parts.geturl()[:100]!r} names no host.")
    return host
