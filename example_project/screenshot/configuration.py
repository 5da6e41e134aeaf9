"""The configuration that each job brings along: what is loaded and how, and what is secret of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from screenshot.errors import ConfigError

#: The least and the most of each number.
LIMITS = {"width": (200, 4_096), "height": (200, 4_096), "wait_seconds": (0, 20), "depth": (0, 10), "pages": (1, 200)}
MAX_TEXT = 4_096
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What a browser writes itself, or has another way to be told.
REFUSED_HEADERS = {
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What everyone may see of a job.

    ``wait_for``: a CSS selector of what has to be there; ``depth``: how many links in a row are followed; ``pages``:
    how many pages are loaded at most.
    """

    width: int = 1280
    height: int = 800
    full_page: bool = False
    wait_seconds: float = 0
    wait_for: str = ""
    depth: int = 0
    pages: int = 1


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the website is told to let the browser in; sent to its hosts alone, and in no ``repr()``."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def all_headers(self) -> dict[str, str]:
        """The headers, that of user and password among them."""
        if not self.user:
            return dict(self.headers)
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
        return {**self.headers, "Authorization": f"Basic {basic}"}


LOOK, SECRETS = ({f.name for f in fields(kind)} for kind in (Look, Secrets))


def read_config(given: object) -> tuple[Look, Secrets]:
    """The configuration from a JSON object; raises ``ConfigError`` that names what is wrong, and shows no secret."""
    if not isinstance(given, Mapping):
        raise ConfigError('The configuration of a job is a JSON object, like {"full_page": true}.')
    for name in given:
        if name not in LOOK | SECRETS:
            near = get_close_matches(str(name), sorted(LOOK | SECRETS), n=1)
            raise ConfigError(f"{name!r} is no setting of a job" + (f": did you mean {near[0]!r}?" if near else "."))
    look = Look(**{name: _look(name, value) for name, value in given.items() if name in LOOK})
    return look, read_secrets({name: value for name, value in given.items() if name in SECRETS})


def read_secrets(given: Mapping[str, Any]) -> Secrets:
    """The secret part alone."""
    for name in {"headers", "cookies"} & given.keys():
        _check_pairs(name, given[name])
    for name in {"user", "password"} & given.keys():
        _check_text(name, given[name])
    secrets = Secrets(**given)
    if ":" in secrets.user or bool(secrets.password) > bool(secrets.user):
        raise ConfigError(
            "'user' and 'password' are for HTTP's basic authentication: a user without a colon, and a password."
        )
    return secrets


def _look(name: str, value: Any) -> Any:
    if name == "full_page":
        if not isinstance(value, bool):
            raise ConfigError(f"{name!r} is {value!r}: write true or false.")
    elif name == "wait_for":
        _check_text(name, value)
    else:
        _check_number(name, value)
    return value


def _check_number(name: str, value: Any) -> None:
    least, most = LIMITS[name]
    kinds = (int, float) if name == "wait_seconds" else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise ConfigError(
            f"{name!r} is {value!r}: write a {'' if float in kinds else 'whole '}number from {least} to {most:,}."
        )


def _check_pairs(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name!r} is a JSON object of names and values.")
    for key, text in value.items():
        if not TOKEN.fullmatch(key) or (name == "headers" and key.lower() in REFUSED_HEADERS):
            raise ConfigError(f"{name!r} has {key[:100]!r}: that is no name, or the browser's own to write.")
        _check_text(f"{name}: {key}", text)
        if name == "cookies" and ";" in text:
            raise ConfigError(f"'cookies: {key}' has a semicolon, which ends a cookie: write it as %3B.")


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise ConfigError(f"{name!r} must be text in one line, of at most {MAX_TEXT:,} characters.")
