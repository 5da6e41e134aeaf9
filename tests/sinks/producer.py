"""A process that puts records, and ends as it is told: ``-m tests.sinks.producer URL OPTIONS FIRST LAST ENDING``.

Its database ``default`` is the one that DEFAULT_DATABASE names. It says "put" on its standard output when all is put,
and waits for a line on its standard input where it is told to.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys

import django
from django.conf import settings

from tests.sinks.conftest import firehose_options, record


def main(url: str, options: str, first: int, last: int, ending: str) -> None:
    """Put the records, and end."""
    from horizon_shards.exceptions import SinkError
    from horizon_shards.sinks import FirehoseSink

    sink = FirehoseSink("producer", firehose_options(url, **json.loads(options)))
    if ending.startswith("disk-full"):
        most = int(ending.partition(":")[2] or 4_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    taken = []
    try:
        for number in range(first, last):
            sink.put(record(number, text="x" * 100))
            taken.append(number)
    except SinkError as error:
        say(f"{type(error).__name__}: {len(taken)}")
    say("put")
    if ending == "wait":
        sink.start()
        sys.stdin.readline()
    if ending == "fork":
        fork_and_put(sink, last)
    if ending == "multiprocessing":
        child = multiprocessing.get_context("fork").Process(target=sink.put, args=(record(last),))
        child.start()
        child.join()


def fork_and_put(sink: object, number: int) -> None:
    """A child that puts one record more, and flushes it; what the parent holds is not the child's."""
    if (child := os.fork()) == 0:
        sink.put(record(number))  # type: ignore[attr-defined]
        sink.flush()  # type: ignore[attr-defined]
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        say("the child failed")


def say(text: str) -> None:
    """One line for the test."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    settings.DATABASES["default"]["NAME"] = os.environ["DEFAULT_DATABASE"]
    django.setup()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
