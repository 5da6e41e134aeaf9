"""What Redshift refuses of calls: unknown functions, those of the leader node over tables, windows without a frame."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from horizon_shards.testing.redshift.functions import FRAMED, FUNCTIONS, LEADER_ONLY, LEADER_WORDS, SYNTAX
from horizon_shards.testing.redshift.lexer import Token, closing

WINDOW = "r_Window_function_synopsis.html"
#: Functions with a FROM of their own.
WITH_FROM = {"EXTRACT", "SUBSTRING", "TRIM", "OVERLAY"}
CHANGES = {"INSERT", "UPDATE", "DELETE", "MERGE"}
#: Behind these a name with a parenthesis is that of a table with its columns, or of a CTE.
NAMING = frozenset(
    ["INTO", "TABLE", "REFERENCES", "JOIN", "COPY", "VIEW", "EXISTS", "CONSTRAINT", ".", "SCHEMA", "WITH"]
)
KNOWN = FUNCTIONS | LEADER_ONLY


def on_compute_nodes(tokens: list[Token]) -> bool:
    """Whether a statement reads or changes a table of the user's (c_sql-functions-leader-node.html)."""
    of_the_leader = ("pg_", "information_schema")
    return _first(tokens) in CHANGES or any(not name.startswith(of_the_leader) for name in _tables(tokens))


def _first(tokens: list[Token]) -> str:
    return tokens[0].upper if tokens else ""


def _tables(tokens: list[Token]) -> Iterator[str]:
    """The names behind FROM and JOIN, less those that WITH gives to subqueries."""
    named = {one.text for one, then, last in zip(tokens, tokens[1:], tokens[2:], strict=False) if _opens(then, last)}
    functions: list[str] = []
    before = Token("other", "")
    for token, after in pairwise(tokens):
        if token.text == "(":
            functions.append(before.upper)
        elif token.text == ")" and functions:
            functions.pop()
        elif _names_table(token, after, functions) and after.text not in named:
            yield after.text.strip('"').lower()
        before = token


def _opens(word: Token, after: Token) -> bool:
    return word.upper == "AS" and after.text == "("


def _names_table(token: Token, after: Token, functions: list[str]) -> bool:
    clause = token.upper in {"FROM", "JOIN"} and not WITH_FROM.intersection(functions[-1:])
    return clause and after.kind in {"name", "word"}


def broken_calls(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    distributed = on_compute_nodes(tokens)
    words = {token.upper for token in tokens if token.kind == "word"}
    if words & LEADER_WORDS and (distributed or _first(tokens) in {"CREATE", "ALTER"}):
        yield "leader-now", "Use GETDATE() or SYSDATE. (c_SQL_functions_leader_node_only.html)"
    for position, token in enumerate(tokens[:-1]):
        name = token.text.lower()
        if token.kind != "word" or tokens[position + 1].text != "(" or name in SYNTAX:
            continue
        if position and tokens[position - 1].upper in NAMING:
            continue
        if name in LEADER_ONLY and distributed:
            yield (
                "leader-only",
                f"{name}() runs on the leader node, not over tables (c_SQL_functions_leader_node_only.html).",
            )
        elif name not in KNOWN:
            yield "function", f"{name}() is no function of Redshift (c_SQL_functions.html)."
        yield from _window(tokens, position, name)


def _window(tokens: list[Token], position: int, name: str) -> Iterator[tuple[str, str]]:
    if name in {"lag", "lead"} and arguments(tokens, position + 1) > 2:
        yield "lag-default", f"{name.upper()} has no default ({WINDOW})."
    after = closing(tokens, position + 1) + 1
    if after + 1 >= len(tokens) or tokens[after].upper != "OVER" or tokens[after + 1].text != "(":
        return
    inner = " ".join(token.upper for token in tokens[after + 1 : closing(tokens, after + 1)])
    if name in FRAMED and "ORDER BY" in inner and "ROWS" not in inner:
        yield "window-frame", f"{name.upper()} over an order needs an explicit frame ({WINDOW})."


def arguments(tokens: list[Token], start: int) -> int:
    end, depth, count = closing(tokens, start), 0, 1
    for token in tokens[start:end]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        count += token.text == "," and depth == 1
    return count
