"""The app that shows what was counted."""

from __future__ import annotations

from django.apps import AppConfig


class ReportConfig(AppConfig):
    """The dashboards and the text report."""

    name = "report"

    def ready(self) -> None:
        """Listen to the plans of queries."""
        from report import asked

        asked.listen()
