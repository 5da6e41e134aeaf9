"""SQL in tokens, as far as a rule or a translation needs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<string>[eE]?'(?:[^'\\]|\\.|'')*')
  | (?P<name>"(?:[^"]|"")*")
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)
  | (?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)
  | (?P<operator>::|<=|>=|<>|!=|\|\||!~~?\*?|~~?\*?|->>?|\#>>?|@>|<@|\?\||\?&)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A piece of SQL: ``space``, ``string``, ``name`` (quoted), ``number``, ``word``, ``operator`` or ``other``."""

    kind: str
    text: str

    @property
    def upper(self) -> str:
        """The text of a word in capitals; other tokens as they are."""
        return self.text.upper() if self.kind == "word" else self.text


def tokens_of(sql: str) -> list[Token]:
    """All tokens: their texts joined are the statement."""
    return [Token(match.lastgroup or "other", match.group()) for match in _TOKEN.finditer(sql)]


def skeleton(sql: str) -> str:
    """The statement in capitals, with one blank between words, without the content of literals and quoted names."""
    parts = []
    for token in tokens_of(sql):
        if token.kind == "space":
            parts.append(" ")
        elif token.kind == "string":
            parts.append("E''" if token.text[0] in "eE" else "''")
        elif token.kind == "name":
            parts.append('"n"')
        else:
            parts.append(token.upper)
    return re.sub(r" +", " ", "".join(parts)).strip().rstrip("; ")


def closing(tokens: list[Token], start: int) -> int:
    """The position of the parenthesis that closes the one at ``start``."""
    depth = 0
    for position in range(start, len(tokens)):
        if tokens[position].text in ("(", "["):
            depth += 1
        elif tokens[position].text in (")", "]"):
            depth -= 1
            if depth == 0:
                return position
    return len(tokens) - 1


def following(tokens: list[Token], start: int) -> int:
    """The position of the first token from ``start`` that is no blank, or the end."""
    while start < len(tokens) and tokens[start].kind == "space":
        start += 1
    return start


def fingerprint(sql: str) -> str:
    """The statement with its values replaced, and lists of values cut to one: statements alike share a verdict."""
    parts = []
    for token in tokens_of(sql):
        if token.kind == "string":
            parts.append("'x'" if token.text[0] not in "eE" else "E'x'")
        elif token.kind == "number":
            parts.append("1")
        else:
            parts.append(" " if token.kind == "space" else token.text)
    text = re.sub(r" +", " ", "".join(parts)).strip()
    text = re.sub(r"(?<=[(, ])('x'|1)(, ?('x'|1))+(?=\))", "1", text)
    return re.sub(r"(\((?:[^()]|\([^()]*\))*\))(, \1)+", r"\1", text)


def statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements of a file, which semicolons end, each with the number of its first line."""
    line, start, parts = 1, 1, [""]
    for token in [*tokens_of(text), Token("other", ";")]:
        if token.text == ";":
            if sql := "".join(parts).strip():
                yield start, sql
            parts = [""]
        elif token.kind != "space" or len(parts) > 1:
            start = start if len(parts) > 1 else line
            parts.append(token.text)
        line += token.text.count("\n")
