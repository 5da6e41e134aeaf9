"""DDL of Redshift in PostgreSQL's words, and what its catalogue is to remember of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from horizon_shards.testing.redshift.lexer import Token, closing, tokens_of

TABLE_CONSTRAINTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN"}
STYLES = {"EVEN": 0, "KEY": 1, "ALL": 8, "AUTO": 11}


class Constraint(NamedTuple):
    """A declaration that nothing enforces: ``kind`` is p, u or f."""

    name: str
    kind: str
    columns: tuple[str, ...]
    target: str = ""
    target_columns: tuple[str, ...] = ()


@dataclass
class Remembered:
    """What a statement says of the storage of ``table``; None is what it does not say."""

    table: str
    style: int | None = None
    distkey: str | None = None
    sortkey: tuple[str, ...] | None = None
    interleaved: bool = False
    encodings: dict[str, str] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)
    dropped_constraint: str | None = None
    like: str | None = None


def bare(token: Token) -> str:
    """The name that a token means."""
    return token.text[1:-1].replace('""', '"') if token.kind == "name" else token.text.lower()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def translate_ddl(sql: str) -> tuple[str | None, Remembered | None]:
    """PostgreSQL's statement (None: there is nothing to run) and what to remember; (sql, None) for other statements."""
    tokens = [token for token in tokens_of(sql.strip().rstrip(";")) if token.kind != "space"]
    words = [token.upper for token in tokens[:3]]
    if words[:2] in (["CREATE", "TEMPORARY"], ["CREATE", "TEMP"]) and words[2:] == ["TABLE"]:
        words = ["CREATE", "TABLE"]
    if words[:2] == ["CREATE", "TABLE"] and any(token.text == "(" for token in tokens) and "AS" not in words:
        return _create(tokens)
    if words[:2] == ["ALTER", "TABLE"]:
        return _alter(tokens, sql)
    return sql, None


# ---- CREATE TABLE ----------------------------------------------------------------------------------------------------


def _create(tokens: list[Token]) -> tuple[str, Remembered]:
    start = next(n for n, token in enumerate(tokens) if token.text == "(")
    end = closing(tokens, start)
    remembered = Remembered(bare(tokens[start - 1]), style=STYLES["AUTO"])
    columns = []
    for part in _split(tokens[start + 1 : end]):
        if part[0].upper == "LIKE":
            remembered.like = bare(part[1])
            columns.append(f"LIKE {part[1].text} INCLUDING CONSTRAINTS" + " INCLUDING DEFAULTS" * (len(part) > 2))
        elif part[0].upper in TABLE_CONSTRAINTS:
            remembered.constraints.append(_table_constraint(part, remembered))
        else:
            columns.append(_column(part, remembered))
    _attributes(tokens[end + 1 :], remembered)
    head = " ".join(token.text for token in tokens[: start - 1])
    return f"{head} {tokens[start - 1].text} ({', '.join(columns)})", remembered


def _split(tokens: list[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _column(part: list[Token], remembered: Remembered) -> str:
    """A column without the attributes that PostgreSQL has not; text is limited in bytes."""
    name, out = bare(part[0]), [part[0].text]
    rest = part[1:]
    kind, rest = _type(name, rest)
    out.append(kind)
    position = 0
    while position < len(rest):
        word = rest[position].upper
        if word == "ENCODE":
            remembered.encodings[name] = rest[position + 1].text.lower()
            position += 2
        elif word in {"DISTKEY", "SORTKEY"}:
            _column_key(word, name, remembered)
            position += 1
        elif word in {"PRIMARY", "UNIQUE"}:
            kind = "p" if word == "PRIMARY" else "u"
            ending = {"p": "pkey", "u": "key"}[kind]
            remembered.constraints.append(Constraint(f"{remembered.table}_{ending}_{name}", kind, (name,)))
            position += 2 if word == "PRIMARY" else 1
        elif word == "IDENTITY":
            position = _identity(rest, position, out)
        else:
            out.append(rest[position].text)
            position += 1
    return " ".join(out)


def _identity(rest: list[Token], position: int, out: list[str]) -> int:
    if out[-1].upper() != "AS":
        out.append("GENERATED ALWAYS AS")
    end = closing(rest, position + 1)
    seed, step = "".join(token.text for token in rest[position + 2 : end]).split(",")
    out.append(f"IDENTITY (START WITH {seed} INCREMENT BY {step} MINVALUE {min(int(seed), 0)})")
    return end + 1


def _column_key(word: str, name: str, remembered: Remembered) -> None:
    if word == "DISTKEY":
        remembered.distkey, remembered.style = name, STYLES["KEY"]
    else:
        remembered.sortkey = (name,)


def _type(name: str, rest: list[Token]) -> tuple[str, list[Token]]:
    word = rest[0].upper
    size = ""
    if len(rest) > 1 and rest[1].text == "(":
        end = closing(rest, 1)
        size = "".join(token.text for token in rest[2:end])
        rest = [rest[0], *rest[end + 1 :]]
    if word in {"VARCHAR", "NVARCHAR", "VARBYTE", "VARBINARY"}:
        length = "65535" if size.upper() == "MAX" else size or "256"
        kind = "bytea" if word.startswith("VARB") else f"varchar({length})"
        check = (
            f"CONSTRAINT {_quoted(f'rs_bytes_{length}_{name}'[:60])} CHECK (octet_length({_quoted(name)}) <= {length})"
        )
        return f"{kind} {check}", rest[1:]
    if word == "SUPER":
        return "rs.super", rest[1:]
    if word == "TEXT":
        return _type(name, [Token("word", "VARCHAR"), *rest[1:]])
    return rest[0].text + (f"({size})" if size else ""), rest[1:]


def _table_constraint(part: list[Token], remembered: Remembered) -> Constraint:
    name = ""
    if part[0].upper == "CONSTRAINT":
        name, part = bare(part[1]), part[2:]
    kind = {"PRIMARY": "p", "UNIQUE": "u", "FOREIGN": "f"}[part[0].upper]
    start = next(n for n, token in enumerate(part) if token.text == "(")
    columns = _names(part, start)
    if kind != "f":
        return Constraint(name or f"{remembered.table}_{kind}_{'_'.join(columns)}", kind, columns)
    at = next(n for n, token in enumerate(part) if token.upper == "REFERENCES")
    targets = _names(part, at + 2) if len(part) > at + 2 else ()
    return Constraint(name or f"{remembered.table}_{columns[0]}_fkey", kind, columns, bare(part[at + 1]), targets)


def _names(tokens: list[Token], start: int) -> tuple[str, ...]:
    end = closing(tokens, start)
    return tuple(bare(token) for token in tokens[start + 1 : end] if token.kind in {"name", "word"})


def _attributes(tokens: list[Token], remembered: Remembered) -> None:
    for position, token in enumerate(tokens):
        word = token.upper
        if word == "DISTSTYLE":
            remembered.style = STYLES[tokens[position + 1].upper]
        elif word == "DISTKEY":
            start = position + 1 if tokens[position + 1].text == "(" else position
            remembered.distkey = _names(tokens, start)[0] if start > position else bare(tokens[position + 1])
            remembered.style = STYLES["KEY"]
        elif word == "SORTKEY":
            after = tokens[position + 1]
            remembered.sortkey = _names(tokens, position + 1) if after.text == "(" else ()
            remembered.interleaved = position > 0 and tokens[position - 1].upper == "INTERLEAVED"


# ---- ALTER TABLE -----------------------------------------------------------------------------------------------------

_GROW = re.compile(
    r"(?i)^ALTER TABLE (\S+) ALTER COLUMN (\"[^\"]+\"|\w+) TYPE (?:varchar|character varying) ?\((\d+)\)$"
)


def _alter(tokens: list[Token], sql: str) -> tuple[str | None, Remembered | None]:
    remembered = Remembered(bare(tokens[2]))
    action, words = tokens[3:], [token.upper for token in tokens[3:7]]
    if words[:1] == ["ALTER"] and words[1] in {"DISTSTYLE", "DISTKEY", "SORTKEY", "COMPOUND", "ENCODE"}:
        _attributes(action[1:], remembered)
        return None, remembered
    if words[:2] == ["ALTER", "COLUMN"] and words[3] == "ENCODE":
        remembered.encodings[bare(action[2])] = action[4].text.lower()
        return None, remembered
    if words[0] == "ADD" and words[1] in TABLE_CONSTRAINTS:
        remembered.constraints.append(_table_constraint(action[1:], remembered))
        return None, remembered
    if words[:2] == ["DROP", "CONSTRAINT"]:
        remembered.dropped_constraint = bare(action[2])
        return None, remembered
    if words[:2] == ["ADD", "COLUMN"]:
        column = _column(action[2:], remembered)
        return f"ALTER TABLE {tokens[2].text} ADD COLUMN {column}", remembered
    if match := _GROW.match(" ".join(sql.split()).rstrip(";")):
        return _grown(match), None
    return sql, None


def _grown(match: re.Match[str]) -> str:
    """The limit in bytes is a constraint here: its successor stands beside it, and the shorter one goes."""
    table, column, length = match.groups()
    name = column.strip('"')
    return (
        "DO $$ DECLARE old record; BEGIN FOR old IN SELECT k.conname FROM pg_catalog.pg_constraint k "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] "
        f"WHERE k.contype = 'c' AND k.conrelid = '{table}'::regclass AND a.attname = '{name}' LOOP "
        f"EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %%I', old.conname); END LOOP; "
        f"ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar({length}); "
        f"ALTER TABLE {table} ADD CONSTRAINT {_quoted(f'rs_bytes_{length}_{name}'[:60])} "
        f"CHECK (octet_length({column}) <= {length}); END $$"
    ).replace("%%I", "%I")
