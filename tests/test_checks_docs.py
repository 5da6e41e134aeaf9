"""The ids of the checks in code, catalogue and docs are the same."""

from __future__ import annotations

import re
from pathlib import Path

from horizon_shards.checks import catalogue
from horizon_shards.checks.catalogue import CATALOGUE, problem

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs" / "checks.md"


def in_code() -> set[str]:
    files = [path for path in Path(catalogue.__file__).parent.parent.rglob("*.py") if path.name != "catalogue.py"]
    return {code for path in files for code in re.findall(r'"(?:horizon_shards\.)?([EW]\d{3})"', path.read_text())}


def test_every_id_of_the_catalogue_is_used_and_no_other() -> None:
    assert in_code() == set(CATALOGUE)


def test_every_id_has_a_row_in_the_docs_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `horizon_shards\.([EW]\d{3})` \| ([^|]+?) \|", DOCS.read_text(), re.MULTILINE))
    assert rows == CATALOGUE


def test_numbers_are_unique_whatever_the_level() -> None:
    numbers = [code[1:] for code in CATALOGUE]
    assert len(numbers) == len(set(numbers))


def test_the_level_follows_the_letter() -> None:
    assert problem("E101", "x", hint="y").is_serious()
    assert not problem("W207", "x", hint="y").is_serious()
