"""Addresses as they are kept: without the part that names a household, unless the settings say otherwise."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings

#: How many bits are kept: of IPv4 the neighbourhood, of IPv6 what a provider gives to a customer's site.
IPV4_BITS, IPV6_BITS = 24, 48


def kept_address(address: str) -> str:
    """What may be hashed, stored or told of an address: its network, or by ``ANONYMIZE_ADDRESSES=0`` all of it."""
    return anonymous(address) if settings.ANONYMIZE_ADDRESSES else address


def anonymous(address: str) -> str:
    """The network of an address, ``192.0.2.0`` or ``2001:db8:7::``; nothing of what is none, like a host's name.

    An IPv4 address inside an IPv6 one (mapped, or 6to4) is shortened as an IPv4 address is.
    """
    try:
        found = ip_address(_without_port(address.strip()))
    except ValueError:
        return ""
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    bits = IPV4_BITS if isinstance(found, IPv4Address) else IPV6_BITS
    return str(ip_network((found.packed, bits), strict=False).network_address)


def _without_port(address: str) -> str:
    """Some proxies append it: ``192.0.2.1:5678``, ``[2001:db8::1]:5678``."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
