"""The queue of a crawl: each page once, no further than told, and an end for all of its workers."""

from __future__ import annotations

import asyncio
import threading

import pytest

from screenshot.crawling import run_apart
from screenshot.frontier import Frontier


def crawled(links: dict[str, str], *, depth: int, pages: int, workers: int = 3, slow: str = "") -> list[str]:
    """The pages of a website, given by the letters that each links to, in the order in which they were taken.

    ``slow``: a page, and the one that has to be done with before it is loaded.
    """

    async def run():
        frontier, taken, others = Frontier("a", depth=depth, pages=pages), [], asyncio.Event()

        async def work():
            while (page := await frontier.take()) is not None:
                taken.append(page)
                await (others.wait() if page == slow[:1] else asyncio.sleep(0))
                await frontier.finish(page, list(links.get(page, "")))
                if page == slow[1:]:
                    others.set()

        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(workers))), 60)
        return taken

    return asyncio.run(run())


def test_each_page_is_taken_once():
    """However many link to it, also to themselves."""
    everyone = dict.fromkeys("abcdef", "abcdef")
    assert sorted(crawled(everyone, depth=9, pages=99)) == list("abcdef")


@pytest.mark.parametrize(("depth", "expected"), [(0, "a"), (1, "ab"), (2, "abc")])
def test_links_are_followed_as_deep_as_told(depth, expected):
    """In a chain of pages."""
    assert crawled({"a": "b", "b": "c", "c": "d"}, depth=depth, pages=99) == list(expected)


def test_pages_are_loaded_as_many_as_told():
    """What waits then is left."""
    assert crawled({"a": "bcdefg"}, depth=9, pages=3) == list("abc")


def test_a_worker_that_finds_nothing_waits_for_the_links_of_the_others():
    """All end when nothing is left: here each page is the only one that waits."""
    chain = {chr(n): chr(n + 1) for n in range(ord("a"), ord("z"))}
    assert "".join(crawled(chain, depth=99, pages=99, workers=5)) == "abcdefghijklmnopqrstuvwxyz"


def test_a_page_that_is_found_again_by_a_shorter_way_has_its_links_followed():
    """The way by c is found first, as b is slow; x is then as deep as told, and y behind it is not."""
    links = {"a": "bc", "b": "x", "c": "d", "d": "x", "x": "y"}
    assert sorted(crawled(links, depth=3, pages=99, slow="bx", workers=2)) == list("abcdxy")


def test_two_pages_that_lead_to_the_same_are_shown_once():
    """By the URL in the end."""
    frontier = Frontier("a", depth=0, pages=1)
    assert [frontier.is_new("z"), frontier.is_new("z")] == [True, False]


def test_an_interrupt_ends_the_work():
    """As the time-out of a task does, which is a signal in the main thread."""
    ended = threading.Event()

    async def forever():
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    class Interrupt(BaseException):
        pass

    def interrupt(number, frame):
        raise Interrupt

    import signal

    started = threading.Event()
    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()

    def send():
        started.wait(60)
        signal.pthread_kill(main, signal.SIGUSR1)

    sender = threading.Thread(target=send)
    try:
        with pytest.raises(Interrupt):
            sender.start()
            run_apart(forever())
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert ended.is_set()


def test_work_apart_gives_its_result_and_its_error():
    """As if it were done here."""

    async def divide(by):
        return 4 / by

    assert run_apart(divide(2)) == 2
    with pytest.raises(ZeroDivisionError):
        run_apart(divide(0))
