"""What can go wrong with a screenshot."""

from __future__ import annotations


class ScreenshotError(Exception):
    """The whole job failed."""


class ConfigError(ScreenshotError):
    """The configuration of a job is not right."""


class SealError(ScreenshotError):
    """The secrets of a job cannot be sealed or opened."""


class BrowserError(ScreenshotError):
    """There is no browser, or it does not start or has died."""


class StoreError(ScreenshotError):
    """The bucket or folder does not answer."""


class PageError(Exception):
    """One page failed; the others of the job go on."""


class OutOfBounds(PageError):
    """A URL or an address that a browser of ours is not to ask."""
