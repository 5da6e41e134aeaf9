"""A job: whose page, when it was asked for, and its own configuration; and the form in which it waits in a queue."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from screenshot.configuration import Look, Secrets, read_config, read_secrets
from screenshot.errors import ConfigError
from screenshot.sealing import seal, unseal

VERSION = 1


@dataclass(frozen=True, slots=True)
class Job:
    """``asked_ms``: when, in milliseconds of Unix time. It is in the names, so that a second try replaces the first."""

    site_id: int
    url: str
    asked_ms: int
    look: Look = field(default_factory=Look)
    secrets: Secrets = field(default_factory=Secrets)

    @classmethod
    def now(cls, site_id: int, url: str, config: object) -> Job:
        """A new job; raises ``ConfigError`` for a configuration that is not right."""
        return cls(site_id, url, time.time_ns() // 1_000_000, *read_config(config))

    def message(self, *, keys: Sequence[str]) -> dict[str, Any]:
        """The argument of the task: JSON, with the secrets sealed; raises ``SealError`` where they cannot be."""
        sealed = seal(asdict(self.secrets), site_id=self.site_id, keys=keys) if self.secrets else None
        return {
            "v": VERSION,
            "site": self.site_id,
            "url": self.url,
            "asked_ms": self.asked_ms,
            "look": asdict(self.look),
            "sealed": sealed,
        }

    @classmethod
    def of_message(cls, message: Mapping[str, Any], *, keys: Sequence[str]) -> Job:
        """The job of a message; raises ``ConfigError`` or ``SealError``. What is read is checked as on its way in."""
        if message.get("v") != VERSION:
            raise ConfigError(f"The message of a job is not of version {VERSION}: was it sent by another release?")
        site_id, sealed = int(message["site"]), message["sealed"]
        look, _ = read_config(message["look"])
        secrets = read_secrets(unseal(sealed, site_id=site_id, keys=keys)) if sealed else Secrets()
        return cls(site_id, str(message["url"]), int(message["asked_ms"]), look, secrets)
