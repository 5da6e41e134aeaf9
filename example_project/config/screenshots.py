"""Where screenshots go and how the browser is run, from the environment.

``SCREENSHOT_BUCKET``
    The bucket of S3 that takes them; with it ``SCREENSHOT_PREFIX`` (default: ``screenshots/``),
    ``SCREENSHOT_ENDPOINT``, and what boto3 reads itself. Without it they go to ``SCREENSHOT_FOLDER`` (default:
    ``screenshots`` in ``DATA_DIR``).
``SCREENSHOT_BROWSER``
    The path of Chromium. Default: the first of chromium, chromium-browser and google-chrome on the PATH.
``SCREENSHOT_NO_SANDBOX``
    Whether Chromium runs without its sandbox, as it must for root. Default: 0.
``SCREENSHOT_PRIVATE_ADDRESSES``
    Whether websites may have private addresses, as on a developer's machine. Default: 0.
``SCREENSHOT_WORKERS``
    How many pages a job loads at once. Default: 2.
``SCREENSHOT_SECONDS``
    How long a page may take to load, and as long again to be drawn. Default: 60.
``SCREENSHOT_QUEUE``
    The queue behind ``QUEUE_PREFIX`` that jobs go to, so that workers without a browser get none. Default: default.
``SCREENSHOT_KEYS``
    Fernet keys for the secrets of jobs, separated by commas: the first one seals, all of them open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from config import environment


@dataclass(frozen=True, slots=True)
class Screenshots:
    """The settings of the app ``screenshot``. ``keys`` are secret, and so not in its ``repr()``."""

    folder: Path
    bucket: str = ""
    prefix: str = "screenshots/"
    endpoint: str = ""
    browser: str = ""
    no_sandbox: bool = False
    private_addresses: bool = False
    workers: int = 2
    seconds: int = 60
    queue: str = "default"
    keys: tuple[str, ...] = field(default=(), repr=False)


def read_screenshots(folder: Path) -> Screenshots:
    """The settings; ``folder`` is that of the project's data."""
    return Screenshots(
        folder=Path(environment.text("SCREENSHOT_FOLDER") or folder / "screenshots"),
        bucket=environment.text("SCREENSHOT_BUCKET"),
        prefix=environment.text("SCREENSHOT_PREFIX", "screenshots/"),
        endpoint=environment.text("SCREENSHOT_ENDPOINT"),
        browser=environment.text("SCREENSHOT_BROWSER"),
        no_sandbox=environment.flag("SCREENSHOT_NO_SANDBOX", default=False),
        private_addresses=environment.flag("SCREENSHOT_PRIVATE_ADDRESSES", default=False),
        workers=max(environment.whole("SCREENSHOT_WORKERS", 2), 1),
        seconds=max(environment.whole("SCREENSHOT_SECONDS", 60), 1),
        queue=environment.text("SCREENSHOT_QUEUE", "default") if environment.text("QUEUE_PREFIX") else "default",
        keys=tuple(environment.words("SCREENSHOT_KEYS")),
    )
