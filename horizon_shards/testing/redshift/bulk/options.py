"""COPY and UNLOAD in parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import NotSupportedError

from horizon_shards.testing.redshift.lexer import Token, closing, tokens_of
from horizon_shards.testing.redshift.tables import bare

#: Words with a value behind them, after an optional AS; those that change nothing here are only read over.
VALUED = {"IAM_ROLE", "CREDENTIALS", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION"} | {
    "TIMEFORMAT",
    "DATEFORMAT",
    "MAXERROR",
    "IGNOREHEADER",
    "DELIMITER",
    "COMPUPDATE",
    "STATUPDATE",
    "PARALLEL",
    "MAXFILESIZE",
}
FLAGS = {"MANIFEST", "GZIP", "BZIP2", "ZSTD", "LZOP", "HEADER", "ALLOWOVERWRITE"}
FORMATS = {"CSV", "JSON", "PARQUET"}


@dataclass
class Bulk:
    """One COPY or UNLOAD."""

    table: str = ""
    columns: list[str] = field(default_factory=list)
    select: str = ""
    url: str = ""
    format: str = ""
    paths: str = "auto"
    partition: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)

    @property
    def compression(self) -> str:
        """GZIP and its like, or nothing."""
        return next(iter(self.flags & {"GZIP", "BZIP2", "ZSTD", "LZOP"}), "")


def text(token: Token) -> str:
    """What a literal means; a word or number as it is."""
    if token.kind != "string":
        return token.text
    inner = token.text[token.text.index("'") + 1 : -1]
    out, position = [], 0
    while position < len(inner):
        step = 2 if inner[position] in "\\'" and position + 1 < len(inner) else 1
        out.append(inner[position + step - 1])
        position += step
    return "".join(out)


def read(sql: str) -> Bulk:
    """The parts of a statement; ``NotSupportedError`` for those that are unknown here."""
    tokens = [token for token in tokens_of(sql) if token.kind != "space"]
    bulk, position = Bulk(), 1
    if tokens[0].upper == "COPY":
        while tokens[position].upper != "FROM" and tokens[position].text != "(":
            bulk.table += tokens[position].text
            position += 1
        if tokens[position].text == "(":
            end = closing(tokens, position)
            bulk.columns = _names(tokens[position:end])
            position = end + 1
    else:
        bulk.select, position = text(tokens[position + 1]), closing(tokens, position) + 1
    bulk.url = text(tokens[position + 1])
    _options(bulk, tokens, position + 2)
    return bulk


def _names(tokens: list[Token]) -> list[str]:
    return [bare(token) for token in tokens if token.kind in {"name", "word"}]


def _options(bulk: Bulk, tokens: list[Token], position: int) -> None:
    while position < len(tokens):
        word = tokens[position].upper
        position += 1
        if word in {"FORMAT", "AS"}:
            continue
        if word == "PARTITION":
            end = closing(tokens, position + 1)
            bulk.partition, position = _names(tokens[position + 1 : end]), end + 1
        elif word in FORMATS:
            bulk.format = word
            if word == "JSON" and position < len(tokens) and tokens[position].kind == "string":
                bulk.paths, position = text(tokens[position]), position + 1
        elif word in FLAGS:
            bulk.flags.add(word)
        elif word in VALUED:
            position += tokens[position].upper == "AS"
            bulk.values[word], position = text(tokens[position]), position + 1
        else:
            raise NotSupportedError(f"The strict local Redshift does not know {word} of COPY and UNLOAD.")
