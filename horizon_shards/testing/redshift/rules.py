"""What Redshift refuses although its grammar, as sqlfluff knows it, would let it pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from horizon_shards.testing.redshift.calls import arguments, broken_calls
from horizon_shards.testing.redshift.lexer import Token, closing, skeleton, tokens_of

#: The pages of AWS' documentation below https://docs.aws.amazon.com/redshift/latest/dg/ that rules come from.
FEATURES = "c_unsupported-postgresql-features.html"
DATATYPES = "c_unsupported-postgresql-datatypes.html"
FUNCTION_PAGE = "c_unsupported-postgresql-functions.html"
DIFFERENCES = "c_redshift-and-postgres-sql.html"
CREATE = "r_CREATE_TABLE_NEW.html"
ALTER = "r_ALTER_TABLE.html"
SELECT = "r_SELECT_synopsis.html"
INSERT = "r_INSERT_30.html"
WINDOW = "r_Window_function_synopsis.html"
ISOLATION = "c_serial_isolation.html"
LIMITS = "amazon-redshift-limits.html"


class Rule(NamedTuple):
    """A pattern over the skeleton of a statement, its name, what it means, and its page."""

    name: str
    pattern: re.Pattern[str]
    message: str
    page: str


def _rule(name: str, pattern: str, message: str, page: str) -> Rule:
    return Rule(name, re.compile(pattern), message, page)


TYPES = (
    r"(SERIAL|BIGSERIAL|SMALLSERIAL|UUID|JSONB?|BYTEA|INET|CIDR|MACADDR|MONEY|XML|BIT VARYING|HSTORE|TSVECTOR|"
    r"TSQUERY|POINT|POLYGON|CITEXT|REGCLASS|INT4RANGE|DATERANGE)"
)
#: Not behind words that a name follows, which may be that of a type.
NAMING = r"(?<!\bTABLE)(?<!\bCOLUMN)(?<!\bTO)"
NAME = r"(\"n\"|\w+)(\.(\"n\"|\w+))?"

#: In the order in which they are told.
RULES = (
    _rule("escape-string", r"(?<!\w)E''", "There are no E'...' literals.", DIFFERENCES),
    _rule("returning", r"\bRETURNING\b", "INSERT, UPDATE and DELETE return nothing.", FEATURES),
    _rule("on-conflict", r"\bON CONFLICT\b", "There is no ON CONFLICT: use MERGE.", INSERT),
    _rule("for-update", r"\bFOR (NO KEY )?(UPDATE|SHARE|KEY SHARE)\b", "SELECT locks nothing.", SELECT),
    _rule("distinct-on", r"\bDISTINCT ON ?\(", "DISTINCT has no ON.", FEATURES),
    _rule("filter", r"\) FILTER ?\(", "Aggregates have no FILTER.", DIFFERENCES),
    _rule("savepoint", r"^(SAVEPOINT|RELEASE|ROLLBACK TO)\b", "There are no savepoints.", FEATURES),
    _rule("index", r"^(CREATE|DROP|ALTER)( UNIQUE)? INDEX\b", "There are no indexes.", FEATURES),
    _rule(
        "sequence", r"^(CREATE|DROP|ALTER) SEQUENCE\b|\b(NEXTVAL|CURRVAL|SETVAL|LASTVAL)\b", "No sequences.", FEATURES
    ),
    _rule("object", r"^(CREATE|DROP|ALTER) (TRIGGER|TYPE|DOMAIN|RULE|EXTENSION|COLLATION)\b", "Unsupported.", FEATURES),
    _rule("set-constraints", r"^SET CONSTRAINTS\b", "Constraints are not enforced.", FEATURES),
    _rule("deferrable", r"\bDEFERRABLE\b|\bINITIALLY (DEFERRED|IMMEDIATE)\b", "No constraint is deferred.", CREATE),
    _rule("check", r"^(CREATE|ALTER) TABLE\b.*\bCHECK ?\(", "There are no CHECK constraints.", CREATE),
    _rule("exclude", r"^(CREATE|ALTER) TABLE\b.*\bEXCLUDE\b", "There are no EXCLUDE constraints.", CREATE),
    _rule("on-delete", r"\bON (DELETE|UPDATE) (CASCADE|SET|RESTRICT|NO)\b", "Foreign keys have no action.", CREATE),
    _rule("nulls-distinct", r"\bNULLS (NOT )?DISTINCT\b", "Unique constraints have no NULLS DISTINCT.", CREATE),
    _rule("generated", r"\bGENERATED ALWAYS AS ?\(", "There are no computed columns.", CREATE),
    _rule(
        "identity", r"\bAS IDENTITY(?! ?\()|\bADD GENERATED\b|\bDROP IDENTITY\b", "IDENTITY needs (seed, step).", CREATE
    ),
    _rule("inherits", r"\bINHERITS ?\(|\bPARTITION OF\b|^CREATE TABLE.*\) PARTITION BY\b", "Not supported.", FEATURES),
    _rule("tablespace", r"\bTABLESPACE\b", "There are no tablespaces.", FEATURES),
    _rule(
        "type",
        rf"::{TYPES}\b|(?<!FORMAT )\bAS {TYPES} ?[()[]|^(CREATE|ALTER) TABLE\b.*(\"n\"|\w){NAMING} {TYPES}\b",
        "Unsupported type.",
        DATATYPES,
    ),
    _rule("array", r"\bARRAY ?\[|\w\[\](?!\w)|\bUNNEST ?\(", "There are no arrays.", DATATYPES),
    _rule("json-operator", r"->>?|#>>?|@>|<@|\?\||\?&", "JSON has no operators: use paths.", DIFFERENCES),
    _rule("regex-operator", r"!?~\*", "There is no ~*: use REGEXP_INSTR(.., 'i').", DIFFERENCES),
    _rule("lateral", r"\bLATERAL\b", "There is no LATERAL.", FEATURES),
    _rule("values-table", r"\b(FROM|JOIN) ?\( ?VALUES\b|^VALUES\b", "VALUES is no table.", FEATURES),
    _rule("is-distinct", r"\bIS (NOT )?DISTINCT FROM\b", "There is no IS DISTINCT FROM.", DIFFERENCES),
    _rule("tablesample", r"\bTABLESAMPLE\b", "There is no TABLESAMPLE.", FEATURES),
    _rule(
        "row-value", rf"\b(WHERE|AND|OR|NOT|ON|WHEN) ?\({NAME}(, {NAME})+\) ?[=<>]", "No row constructors.", FEATURES
    ),
    _rule("ordered-aggregate", r"\b(STRING_AGG|ARRAY_AGG)\b", "Use LISTAGG.", FUNCTION_PAGE),
    _rule(
        "iso-part",
        r"\bEXTRACT ?\( ?(ISODOW|ISOYEAR)\b",
        "No such part of a date.",
        "r_Dateparts_for_datetime_functions.html",
    ),
    _rule("frame-mode", r"\b(RANGE|GROUPS) (BETWEEN|UNBOUNDED|CURRENT|\d|'')", "Frames are of ROWS.", WINDOW),
    _rule("frame-exclusion", r"\bEXCLUDE (CURRENT|GROUP|TIES|NO OTHERS)", "Frames exclude nothing.", WINDOW),
    _rule(
        "explain-options",
        r"^EXPLAIN ?\( ?(ANALYZE|VERBOSE|COSTS|SETTINGS|BUFFERS|WAL|TIMING|SUMMARY|FORMAT)\b|^EXPLAIN ANALYZE\b",
        "EXPLAIN knows VERBOSE only.",
        "r_EXPLAIN.html",
    ),
    _rule(
        "truncate",
        r"^TRUNCATE\b.*(,|\bRESTART\b|\bCASCADE\b|\bCONTINUE\b)",
        "TRUNCATE takes one table.",
        "r_TRUNCATE.html",
    ),
    _rule(
        "cursor", r"^DECLARE\b.*\b(WITH HOLD|NO SCROLL|SCROLL|BINARY|INSENSITIVE)\b", "Not of cursors.", "declare.html"
    ),
    _rule(
        "only-one-action", r"^ALTER TABLE\b.*, ?(ADD|DROP|RENAME|ALTER) (COLUMN|CONSTRAINT)?", "One action each.", ALTER
    ),
    _rule("alter-null", r"^ALTER TABLE\b.*\b(SET|DROP) NOT NULL\b", "Nullability is fixed.", ALTER),
    _rule("alter-default", r"^ALTER TABLE\b.*\b(SET|DROP) DEFAULT\b", "Defaults are fixed.", ALTER),
    _rule(
        "alter-type",
        r"^ALTER TABLE\b.*\bTYPE (?!VARCHAR|CHARACTER VARYING|NVARCHAR)|\bUSING [^(]*::",
        "Only VARCHAR grows.",
        ALTER,
    ),
    _rule("if-exists", r"\bDROP CONSTRAINT IF EXISTS\b|\bADD COLUMN IF NOT EXISTS\b", "No IF EXISTS here.", ALTER),
    _rule(
        "add-column-constraint",
        r"^ALTER TABLE\b.*\bADD COLUMN\b.*\b(UNIQUE|PRIMARY KEY|REFERENCES|IDENTITY)\b",
        "ADD COLUMN takes no constraint and no identity.",
        ALTER,
    ),
    _rule("collate", r"\bCOLLATE (?!CASE_)\S", "Collations are CASE_SENSITIVE and CASE_INSENSITIVE.", CREATE),
    _rule("concurrently", r"\bCONCURRENTLY\b", "Not supported.", FEATURES),
    _rule("recursive-view", r"^CREATE RECURSIVE VIEW\b", "Not supported.", "r_CREATE_VIEW.html"),
    _rule(
        "listen",
        r"^(LISTEN|NOTIFY|UNLISTEN|REINDEX|CLUSTER|LOAD|REASSIGN|DISCARD|DO|CHECKPOINT)\b",
        "Unsupported.",
        FEATURES,
    ),
)
SYSTEM_COLUMNS = frozenset(["oid", "xmin", "cmin", "xmax", "cmax", "ctid", "tableoid"])
MAX_COLUMNS, MAX_VARCHAR, MAX_NAME_BYTES, MAX_SORT_COLUMNS, MAX_INTERLEAVED = 1600, 65_535, 127, 400, 8
MAX_BYTES = 16 * 1024 * 1024


def broken_rules(sql: str) -> Iterator[tuple[str, str]]:
    """The names and messages of the rules that a statement breaks."""
    if "\x00" in sql:
        yield "nul", "Text cannot contain NUL."
    if len(sql.encode("utf-8", "replace")) > MAX_BYTES:
        yield "statement-size", f"A statement has 16 MB at most ({LIMITS})."
        return
    bones = skeleton(sql)
    for rule in RULES:
        if rule.pattern.search(bones):
            yield rule.name, f"{rule.message} ({rule.page})"
    tokens = [token for token in tokens_of(sql) if token.kind != "space"]
    yield from _names(tokens)
    yield from broken_calls(tokens)
    if bones.endswith("WITH NO SCHEMA BINDING"):
        yield from _late_binding(tokens)
    if bones.startswith(("CREATE TABLE", "CREATE TEMP")):
        yield from _table(tokens, bones)


def _late_binding(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    """The tables of a late-binding view have their schema before them."""
    triples = list(zip(tokens, tokens[1:], tokens[2:], strict=False))
    of_the_select = {first.text for first, second, third in triples if second.upper == "AS" and third.text == "("}
    for token, table, after in triples:
        named = table.kind in {"name", "word"} and table.text not in of_the_select
        if token.upper in {"FROM", "JOIN"} and named and after.text != ".":
            yield "late-binding", f"{table.text} needs its schema in a late-binding view (r_CREATE_VIEW.html)."


def _names(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    for token in tokens:
        if token.kind == "name" and len(token.text.encode()) - 2 > MAX_NAME_BYTES:
            yield "name-length", f"{token.text[:40]}... has more than {MAX_NAME_BYTES} bytes (r_names.html)."


def _table(tokens: list[Token], bones: str) -> Iterator[tuple[str, str]]:
    start = next((n for n, token in enumerate(tokens) if token.text == "("), len(tokens))
    columns = list(_columns(tokens, start))
    if len(columns) > MAX_COLUMNS:
        yield "columns", f"A table has {MAX_COLUMNS} columns at most ({LIMITS})."
    for column in columns:
        if column[0].text.strip('"').lower() in SYSTEM_COLUMNS:
            yield "system-column", f"{column[0].text} is a column of the system ({CREATE})."
        yield from _varchar(column)
    yield from _keys(tokens, bones)


def _columns(tokens: list[Token], start: int) -> Iterator[list[Token]]:
    part: list[Token] = []
    end, depth = closing(tokens, start), 0
    for token in [*tokens[start + 1 : end], Token("other", ",")]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            if part and part[0].upper not in {"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "LIKE"}:
                yield part
            part = []
        else:
            part.append(token)


def _varchar(column: list[Token]) -> Iterator[tuple[str, str]]:
    for position, token in enumerate(column[:-2]):
        size = column[position + 2].text
        if token.upper == "VARCHAR" and column[position + 1].text == "(" and size.isdigit() and int(size) > MAX_VARCHAR:
            yield "varchar-size", f"VARCHAR has {MAX_VARCHAR} bytes at most (r_Character_types.html)."


def _keys(tokens: list[Token], bones: str) -> Iterator[tuple[str, str]]:
    words = [token.upper for token in tokens]
    distkeys = words.count("DISTKEY")
    if distkeys > 1:
        yield "two-distkeys", f"A table has one DISTKEY ({CREATE})."
    style = words[words.index("DISTSTYLE") + 1] if "DISTSTYLE" in words else ""
    if distkeys and style in {"ALL", "EVEN", "AUTO"}:
        yield "distkey-style", f"DISTSTYLE {style} has no DISTKEY ({CREATE})."
    if style == "KEY" and not distkeys:
        yield "key-without-distkey", f"DISTSTYLE KEY needs a DISTKEY ({CREATE})."
    if words.count("SORTKEY") > 1 and "SORTKEY" in words[words.index("SORTKEY") :][:2]:
        yield "two-sortkeys", f"A table has one list of SORTKEYs ({CREATE})."
    for position, word in enumerate(words):
        if word == "SORTKEY" and position + 1 < len(words) and words[position + 1] == "(":
            count = arguments(tokens, position + 1)
            limit = MAX_INTERLEAVED if words[position - 1] == "INTERLEAVED" else MAX_SORT_COLUMNS
            if count > limit:
                yield "sort-columns", f"{count} columns are more than the {limit} of a sort key ({CREATE})."
