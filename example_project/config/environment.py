"""The environment variables, read into the types that the settings need."""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The variable as it stands, without the spaces around it."""
    return os.environ.get(name, default).strip()


def flag(name: str, *, default: bool) -> bool:
    """The variable as a yes or no; raises ``ImproperlyConfigured`` for anything else."""
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in TRUE | FALSE:
        return value.strip().lower() in TRUE
    raise ImproperlyConfigured(f"The environment variable {name} is {value!r}: write 1 or 0.")


def whole(name: str, default: int) -> int:
    """The variable as a whole number of at least 0; raises ``ImproperlyConfigured`` for anything else."""
    value = text(name) or str(default)
    if not value.isdecimal():
        raise ImproperlyConfigured(f"The environment variable {name} is {value!r}: write a whole number.")
    return int(value)


def one_of(name: str, *choices: str, default: str) -> str:
    """The variable as one of these words; raises ``ImproperlyConfigured`` for anything else."""
    value = text(name) or default
    if value not in choices:
        raise ImproperlyConfigured(f"The environment variable {name} is {value!r}: write {' or '.join(choices)}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """The variable as a list, separated by commas or line ends."""
    return [word.strip() for word in text(name, default).replace("\n", ",").split(",") if word.strip()]


def pairs(name: str) -> dict[str, str]:
    """The variable as ``name=value,name=value``; raises ``ImproperlyConfigured`` where a part has no ``=``."""
    found: dict[str, str] = {}
    for word in words(name):
        key, separator, value = word.partition("=")
        if not separator or not key.strip() or not value.strip():
            raise ImproperlyConfigured(
                f"The environment variable {name} has the part {word!r}: write NAME=URL, and %2C for a comma in a URL."
            )
        if key.strip() in found:
            raise ImproperlyConfigured(f"The environment variable {name} names {key.strip()!r} twice.")
        found[key.strip()] = value.strip()
    return found
