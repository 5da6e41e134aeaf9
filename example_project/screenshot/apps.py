"""The app that takes screenshots."""

from __future__ import annotations

from django.apps import AppConfig


class ScreenshotConfig(AppConfig):
    """A task and a command, without tables. Browser and keys are needed where a screenshot is taken, nowhere else."""

    name = "screenshot"
