"""What is in an object: JSON documents, packed or not, with or without anything between them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, NoReturn

GZIP = b"\x1f\x8b"
BLANK = " \t\r\n"


class Unreadable(ValueError):  # noqa: N818
    """An object that cannot be read at all."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A document of a line, or what of the line is none: then ``problem`` says why."""

    ordinal: int
    line: int
    text: str
    document: dict[str, Any]
    problem: str = ""


def pieces(content: IO[bytes], key: str) -> Iterator[Piece]:
    """The documents in their order; raises :class:`Unreadable` for what is not packed as it says."""
    ordinal = 0
    for number, line in enumerate(_lines(content, key), 1):
        for text, document, problem in _documents(line):
            yield Piece(ordinal, number, text, document, problem)
            ordinal += 1


def _lines(content: IO[bytes], key: str) -> Iterator[bytes]:
    head = content.read(2)
    content.seek(0)
    if head != GZIP:
        if key.endswith(".gz"):
            raise Unreadable("is no gzip, as its name says.")
        yield from content
        return
    try:
        with gzip.GzipFile(fileobj=content, mode="rb") as unpacked:
            yield from unpacked
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Unreadable(f"is broken gzip: {error}") from error


def _documents(line: bytes) -> Iterator[tuple[str, dict[str, Any], str]]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        # Every byte has a letter there, so that nothing of the line is lost.
        yield line.decode("latin-1"), {}, f"is no UTF-8: {error}"
        return
    position = 0
    while (position := _after_blanks(text, position)) < len(text):
        try:
            document, end = DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            yield text[position:].rstrip(BLANK), {}, f"is no JSON: {error}"
            return
        is_object = isinstance(document, dict)
        yield text[position:end], document if is_object else {}, "" if is_object else "is no JSON object"
        position = end


def _after_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in BLANK:
        position += 1
    return position


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is none of its numbers")


DECODER = json.JSONDecoder(parse_constant=_refuse)
