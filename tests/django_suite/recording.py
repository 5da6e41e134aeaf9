"""A test runner that writes down how each test ended, and why."""

from __future__ import annotations

import json
import os
import re
import traceback
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner

from horizon_shards.exceptions import QueryNotSupported

#: The file that the run is recorded in.
RECORD = "DJANGO_SUITE_RECORD"
CLASS_LEVEL = re.compile(r"(?P<what>setUpClass|setUpModule|tearDownClass|tearDownModule) \((?P<name>[^)]+)\)")


class RecordingResult(unittest.TextTestResult):
    """Keeps ``{test id: {"outcome", "reason", "error", "trace"}}``; the worst of the subtests is the test's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.records: dict[str, dict[str, Any]] = {}

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        super().addSuccess(test)
        self.records.setdefault(test.id(), {"outcome": "passed"})

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        self.records[test.id()] = {"outcome": "passed"}

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self.records[test.id()] = {"outcome": "passed"}

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self.records.setdefault(test.id(), {"outcome": "skipped", "error": reason})

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self._keep(test, err)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self._keep(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._keep(test, err)

    def printErrors(self) -> None:  # noqa: N802
        """Print nothing: describing a subtest may run its queries again, and the traces are in the record."""

    def _keep(self, test: Any, err: Any) -> None:
        record = record_of(err[1])
        if self.records.get(test.id(), {}).get("outcome") != "wrong":
            self.records[test.id()] = record


def record_of(error: BaseException) -> dict[str, Any]:
    """How a test ended that raised ``error``: refused where a refusal of ours is at the bottom of it, else wrong."""
    refusal = next((e for e in _chain(error) if isinstance(e, QueryNotSupported)), None)
    return {
        "outcome": "wrong" if refusal is None else "refused",
        "reason": "" if refusal is None else refusal.reason,
        "error": f"{type(error).__name__}: {refusal or error}",
        "trace": "".join(traceback.format_exception(error)),
    }


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class RecordingRunner(DiscoverRunner):
    """Django's runner, with the record of each test in the file that ``DJANGO_SUITE_RECORD`` names."""

    def get_resultclass(self) -> Any:
        return RecordingResult

    def run_suite(self, suite: Any, **kwargs: Any) -> Any:
        result = super().run_suite(suite, **kwargs)
        Path(os.environ[RECORD]).write_text(json.dumps(result.records, indent=1, sort_keys=True), encoding="utf-8")
        return result
