"""The log that ships is the one that the generator makes."""

from __future__ import annotations

import gzip
import importlib.util
from collections import Counter

from conftest import EXAMPLE

from track.access_log import BadLine, parse_line

SHIPPED = EXAMPLE / "data" / "access_log.gz"


def generator():
    spec = importlib.util.spec_from_file_location("make_access_log", EXAMPLE / "tools" / "make_access_log.py")
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up.
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_generator_makes_the_shipped_log():
    """To the byte; the header of the gzip carries no time."""
    made = b"".join(line + b"\n" for line in generator().lines())
    assert gzip.decompress(SHIPPED.read_bytes()) == made
    assert SHIPPED.read_bytes()[4:8] == b"\x00" * 4


def test_the_shipped_log_is_worth_showing():
    """Sixteen websites, two weeks, failures, and a few bad lines."""
    hosts, days, bad = Counter(), set(), 0
    for line in gzip.decompress(SHIPPED.read_bytes()).splitlines():
        try:
            entry = parse_line(line.decode(errors="replace"))
        except BadLine:
            bad += 1
        else:
            hosts[entry.host] += 1
            days.add(entry.time.date())
    assert len(hosts) == 16
    assert len(days) == 14
    assert bad == 7
