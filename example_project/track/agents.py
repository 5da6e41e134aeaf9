"""What a user agent says of itself: browser, operating system and kind of device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import ua_parser

from track.models import Device

#: Programs that the parser takes for browsers or does not know at all.
_PROGRAM = re.compile(
    r"bot\b|crawl|spider|slurp|fetch|feed|monitor|curl|wget|python|java/|ruby|perl|http-?client", re.I
)
_PHONES = {"iOS", "Android", "Windows Phone", "BlackBerry OS", "Firefox OS", "KaiOS"}
#: Android tablets do not say "Mobile" (Google's advice to browser makers).
_TABLET = re.compile(r"iPad|Tablet|Kindle|Silk/|Android(?!.*Mobile)", re.I)


@dataclass(frozen=True, slots=True)
class Agent:
    """Browser and system as names without versions, empty where unknown, and the kind of device."""

    browser: str = ""
    system: str = ""
    device: Device = Device.OTHER


@lru_cache(maxsize=4096)
def describe(user_agent: str) -> Agent:
    """Name what sent the header; an empty one or ``-`` gives an ``Agent`` that knows nothing."""
    if user_agent in {"", "-"}:
        return Agent()
    found = ua_parser.parse(user_agent)
    browser = found.user_agent.family if found.user_agent else ""
    system = found.os.family if found.os else ""
    spider = found.device is not None and found.device.family == "Spider"
    device = Device.BOT if spider or _PROGRAM.search(user_agent) else _device(user_agent, system)
    return Agent(browser[:60], system[:60], device)


def _device(user_agent: str, system: str) -> Device:
    if _TABLET.search(user_agent):
        return Device.TABLET
    if system in _PHONES:
        return Device.MOBILE
    return Device.DESKTOP if system else Device.OTHER
