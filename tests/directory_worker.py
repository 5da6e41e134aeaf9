"""A process of its own that works on a directory: ``python -m tests.directory_worker SETTINGS TASK``, both in JSON.

It configures one database and installs no app: the directory needs no models.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import django
from django.conf import settings

import horizon_shards.directory.retry
import horizon_shards.ids
from horizon_shards.directory import Directory, NewAssignment
from horizon_shards.ids import source_of
from horizon_shards.mapping import BucketMapping, DirectoryMapping, MappingShard


def ids(directory: Directory, count: int, at_once: int) -> list[int]:
    """``count`` numbers, asked for ``at_once`` at a time, from blocks so small that two processes take turns."""
    horizon_shards.ids.LARGEST_BLOCK = horizon_shards.ids.FIRST_BLOCK = 500
    source = source_of(directory)
    found: list[int] = []
    for turn in range(count // at_once):
        if turn % (2_000 // at_once) == 0:
            # On a busy machine one process would else be done before the other gets a processor.
            time.sleep(0.01)
        found += source.numbers(at_once)
    return found


def forked_ids(directory: Directory, count: int) -> dict[str, list[int]]:
    """Numbers of a process before and after it forks, and of two children, one of which forks again."""
    before = ids(directory, 10, 1)
    first = _in_child(lambda: ids(directory, count, 1))
    second = _in_child(lambda: ids(directory, count, 7) + _in_child(lambda: ids(directory, count, 1))())
    mine = ids(directory, count, 1)
    return {"before": before, "parent": mine, "first": first(), "second": second()}


def forked_while_taking(directory: Directory) -> list[list[int]]:
    """Numbers of a child that is forked while a thread of the parent takes one, and then of the parent."""
    source = source_of(directory)
    source.number()
    with source._blocks[os.getpid()].lock:
        child = _in_child(lambda: source.numbers(2))
    return [child(), source.numbers(2)]


def forked_lookups(directory: Directory) -> list[Any]:
    """Whether the parent's kept connection answers after children have used the directory and ended."""
    directory.assign("x1", shard="a", bucket=0)
    from horizon_shards.directory.connection import _of_thread

    def kept() -> int:
        return id(_of_thread.held[directory.alias].wrapper.connection)

    mine = kept()
    child = _in_child(lambda: [directory.lookup(["x1"]), kept() == mine])()
    return [child, directory.lookup(["x1"]), kept() == mine]


def forked_mappings(directory: Directory) -> list[Any]:
    """Where children place a key that are forked while a thread of the parent works with the mappings."""
    options = {"database": directory.database, "shards": [MappingShard("a")], "directory": directory}
    stored, by_bucket = DirectoryMapping(**options, options={}), BucketMapping(**options, options={"BUCKETS": 8})
    with stored._cache._lock, by_bucket._lock:
        child = _in_child(lambda: [stored.place(1), by_bucket.place(1)])
    return child()


def assign(directory: Directory, keys: list[str], shard: str) -> dict[str, str]:
    """The winners of keys, assigned one by one."""
    return {key: directory.assign(key, shard=shard, bucket=1) for key in keys}


def assign_many(directory: Directory, keys: list[str], shard: str) -> list[Any]:
    """The winners of keys, assigned all at once, and the number of those that were new."""
    winners, created = directory.assign_many([NewAssignment(key, shard, 1, key) for key in keys])
    return [winners, len(created)]


def place(directory: Directory, keys: list[int], shards: list[str]) -> list[str]:
    """Where a DirectoryMapping with these shards places the keys."""
    mapping = DirectoryMapping(
        database=directory.database, shards=[MappingShard(name) for name in shards], directory=directory, options={}
    )
    return [mapping.place(key) for key in keys]


def seed(directory: Directory, shards: list[str]) -> list[str]:
    """The bucket table in force after seeding."""
    return list(directory.seed_buckets(shards))


def _in_child(work: Any) -> Any:
    """Begin ``work`` in a forked child; call the result for the child's answer."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        with os.fdopen(write, "w") as pipe:
            pipe.write(json.dumps(work()))
        # As multiprocessing does: no exit handlers of the parent, but the interpreter's objects are freed.
        os._exit(0)
    os.close(write)

    def answer() -> Any:
        with os.fdopen(read) as pipe:
            text = pipe.read()
        assert os.waitpid(pid, 0)[1] == 0
        return json.loads(text)

    return answer


TASKS = {
    task.__name__: task
    for task in (
        ids,
        forked_ids,
        forked_while_taking,
        forked_lookups,
        forked_mappings,
        assign,
        assign_many,
        place,
        seed,
    )
}

if __name__ == "__main__":
    entry, (name, *arguments) = (json.loads(text) for text in sys.argv[1:])
    # SQLite has no queue for its lock: one of two can wait long where the disk is slow.
    horizon_shards.directory.retry.RETRY_SECONDS = 60
    settings.configure(DATABASES={"default": entry}, USE_TZ=True)
    django.setup()
    made = Directory("default", database="track")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    answer = TASKS[name](made, *arguments)
    sys.stdout.write(json.dumps(answer))
