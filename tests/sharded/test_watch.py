"""Calling what is due, while the thread that it concerns is kept by a driver."""

from __future__ import annotations

import os
import threading
import time
import warnings

import pytest

from horizon_shards.backends.sharded.flight.watch import Watch, watch

PATIENCE_SECONDS = 20


def test_what_is_due_is_called_while_the_block_goes_on() -> None:
    called = threading.Event()
    with Watch().calling(called.set, time.monotonic() + 0.01):
        assert called.wait(PATIENCE_SECONDS)


def test_what_has_ended_is_not_called() -> None:
    own, calls, later = Watch(), [], threading.Event()
    with own.calling(lambda: calls.append("ended"), time.monotonic() + 2):
        pass
    with own.calling(later.set, time.monotonic() + 2.5):
        assert later.wait(PATIENCE_SECONDS)
    assert calls == []


def test_no_deadline_is_none() -> None:
    own = Watch()
    with own.calling(pytest.fail, None):
        assert own._thread is None


def test_what_is_due_earlier_does_not_wait_for_what_came_first() -> None:
    own, first, second = Watch(), threading.Event(), threading.Event()
    with own.calling(first.set, time.monotonic() + 3600):
        time.sleep(0.1)
        with own.calling(second.set, time.monotonic() + 0.01):
            assert second.wait(PATIENCE_SECONDS)
    assert not first.is_set()


def test_what_takes_long_keeps_nothing_else_waiting() -> None:
    own, go_on, second = Watch(), threading.Event(), threading.Event()
    at = time.monotonic() + 0.01
    with own.calling(lambda: go_on.wait(PATIENCE_SECONDS) or None, at), own.calling(second.set, at + 0.05):
        assert second.wait(PATIENCE_SECONDS)
    go_on.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_child_has_a_thread_of_its_own() -> None:
    with watch.calling(threading.Event().set, time.monotonic() + 3600), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if (child := os.fork()) == 0:
            called = threading.Event()
            with watch.calling(called.set, time.monotonic() + 0.01):
                os._exit(0 if called.wait(PATIENCE_SECONDS) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
