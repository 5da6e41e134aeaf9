"""What a query of Redshift is in PostgreSQL's words; :mod:`.tables` does the same for DDL."""

from __future__ import annotations

from horizon_shards.testing.redshift.lexer import Token, closing, following, tokens_of

RENAMED = {"OBJECT": "jsonb_build_object", "ARRAY": "jsonb_build_array"}
WITH_PART = {"DATEADD", "DATEDIFF"}


def to_postgresql(sql: str) -> str:
    """The statement with Redshift's own forms replaced."""
    tokens = tokens_of(sql)
    return "".join(token.text for token in _translated(tokens))


def without_escape_mark(sql: str) -> str:
    """``E'..'`` as ``'..'``: psycopg2 writes the first to a PostgreSQL that reads escapes, the second to Redshift."""
    return "".join(
        token.text[1:] if token.kind == "string" and token.text[0] in "eE" else token.text for token in tokens_of(sql)
    )


def _translated(tokens: list[Token]) -> list[Token]:
    out: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.kind == "name" and (end := _path_end(tokens, position)):
            out.append(_path(tokens[position:end]))
            position = end
        elif token.kind == "word" and _opens(tokens, position):
            position = _call(tokens, position, out)
        else:
            out.append(token)
            position += 1
    return out


def _opens(tokens: list[Token], position: int) -> bool:
    after = following(tokens, position + 1)
    return after < len(tokens) and tokens[after].text == "("


def _call(tokens: list[Token], position: int, out: list[Token]) -> int:
    """Append a function call that Redshift writes otherwise; gives the position behind what was read."""
    name = tokens[position].upper
    start = following(tokens, position + 1)
    if name == "LISTAGG":
        return _listagg(tokens, start, out)
    if name in RENAMED:
        out.append(Token("word", RENAMED[name]))
        return position + 1
    if name in WITH_PART:
        part = following(tokens, start + 1)
        out.extend([tokens[position], tokens[start]])
        if tokens[part].kind == "word":
            out.append(Token("string", f"'{tokens[part].text}'"))
            return part + 1
        return start + 1
    out.append(tokens[position])
    return position + 1


def _listagg(tokens: list[Token], start: int, out: list[Token]) -> int:
    """``LISTAGG(a, ',') WITHIN GROUP (ORDER BY b)`` is ``string_agg(CAST(a AS text), ',' ORDER BY b)``."""
    end = closing(tokens, start)
    inner = tokens[start + 1 : end]
    comma = _comma(inner)
    value, separator = inner[:comma], inner[comma + 1 :] or [Token("string", "''")]
    distinct = value and value[0].upper == "DISTINCT"
    out.append(Token("word", "string_agg(" + ("DISTINCT " if distinct else "") + "CAST("))
    out.extend([*_translated(value[1:] if distinct else value), Token("word", " AS text), ")])
    out.extend(_translated(separator[following(separator, 0) :]))
    words = [n for n in range(end + 1, min(end + 5, len(tokens))) if tokens[n].kind == "word"]
    if [tokens[n].upper for n in words] == ["WITHIN", "GROUP"]:
        opening = following(tokens, words[-1] + 1)
        last = closing(tokens, opening)
        out.extend([Token("space", " "), *_translated(tokens[opening + 1 : last])])
        end = last
    out.append(Token("other", ")"))
    return end + 1


def _comma(tokens: list[Token]) -> int:
    depth = 0
    for position, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            return position
    return len(tokens)


def _path_end(tokens: list[Token], start: int) -> int:
    """The end of a path into SUPER that begins at ``start``, or 0: three names, or an element of an array."""
    position, names, elements = start + 1, 1, 0
    while position + 1 < len(tokens):
        if tokens[position].text == "." and tokens[position + 1].kind == "name":
            position, names = position + 2, names + 1
        elif tokens[position].text == "[" and tokens[position + 1].kind == "number":
            position, elements = position + 3, elements + 1
        else:
            break
    return position if names > 2 or elements else 0


def _path(tokens: list[Token]) -> Token:
    parts = [token for token in tokens if token.kind in {"name", "number"}]
    dotted = len(parts) > 1 and tokens[1].text == "." and parts[1].kind == "name"
    column = parts[:2] if dotted else parts[:1]
    keys = [_key(part) for part in parts[len(column) :]]
    base = ".".join(part.text for part in column)
    return Token("other", f"jsonb_extract_path({', '.join([base, *keys])})")


def _key(part: Token) -> str:
    text = part.text if part.kind == "number" else part.text[1:-1].replace('""', '"')
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
