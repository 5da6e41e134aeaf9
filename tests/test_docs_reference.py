"""The reference and the code name the same settings, blocks, errors and signals."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
from django.dispatch import Signal

from horizon_shards import conf, context, exceptions, fields, models, signals
from horizon_shards.backends.aurora_mysql.options import CLUSTER_KEYS
from horizon_shards.declarations import declare_by_default
from horizon_shards.mapping import BucketMapping, DirectoryMapping, RangeMapping
from horizon_shards.models.deletion import SHARD_HANDLERS
from horizon_shards.queues.settings import KEYS as QUEUE_KEYS
from horizon_shards.rollout.budget import KEYS as BUDGET_KEYS
from horizon_shards.sinks.options import KEYS as SINK_KEYS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"


def section(heading: str, page: Path = PAGE) -> str:
    """The text below a heading, up to the next heading."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page.name} has no heading {heading!r}"
    return re.sub(r"^```.*?^```", "", found[1], flags=re.MULTILINE | re.DOTALL)


def names_in(heading: str, page: Path = PAGE) -> set[str]:
    """The first column of the tables below a heading, without arguments."""
    return set(re.findall(r"^\| `(\w+)[^`]*` \|", section(heading, page), re.MULTILINE))


def own(module: ModuleType, kind: type) -> set[str]:
    """The public names of a module that hold a ``kind`` and are its own."""
    return {
        name
        for name, value in vars(module).items()
        if isinstance(value, kind) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("Keys of a logical database", conf.OWN_KEYS),
        ("Keys of a shard", conf.SHARD_KEYS),
        ("Keys of `READS`", conf.READS_KEYS),
        ("Keys of `MIGRATE`", conf.MIGRATE_KEYS),
    ],
)
def test_every_key_of_the_settings_has_a_row_and_no_other(heading: str, keys: set[str]) -> None:
    assert names_in(heading) == keys


def test_the_keys_and_classes_of_the_mapping_have_rows_and_no_others() -> None:
    classes = {BucketMapping, DirectoryMapping, RangeMapping}
    assert names_in("Keys of `MAPPING`") == conf.MAPPING_KEYS | {mapping.__name__ for mapping in classes}


def test_every_key_of_a_cluster_has_a_row_and_no_other() -> None:
    assert names_in("Keys of `CLUSTER`", PAGE.with_name("aurora.md")) == CLUSTER_KEYS


def test_every_key_of_the_connections_has_a_row_and_no_other() -> None:
    heading = "How many there are, and how many there can be"
    assert {name for name in names_in(heading, PAGE.with_name("connections.md")) if name.isupper()} == BUDGET_KEYS


def test_every_option_of_the_queues_has_a_row_and_no_other() -> None:
    rows = re.findall(r"^\| (`[A-Z].*?) \|", section("Options", PAGE.with_name("queues.md")), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == QUEUE_KEYS


def test_every_option_of_a_sink_with_a_queue_has_a_row_and_no_other() -> None:
    assert names_in("Options of a queue", PAGE.with_name("sinks.md")) == SINK_KEYS


@pytest.mark.parametrize("mapping", [BucketMapping, DirectoryMapping, RangeMapping])
def test_the_row_of_a_mapping_names_its_options(mapping: type[BucketMapping]) -> None:
    row = next(line for line in section("Keys of `MAPPING`").splitlines() if f"| `{mapping.__name__}` |" in line)
    assert set(re.findall(r"`([A-Z_]+)`", row.split("|")[2])) == mapping.known_options


def test_every_name_for_models_has_a_row_and_no_other() -> None:
    tables = {"Assignment", "Block", "Bucket", "Decision"}
    handlers = {handler.__name__ for handler in SHARD_HANDLERS}
    names = {*models.__all__, *fields.__all__, *handlers, declare_by_default.__name__} - tables
    first_columns = re.findall(r"^\| (`.*?`) \|", section("Models"), re.MULTILINE)
    assert {name for column in first_columns for name in re.findall(r"`(\w+)", column)} == names


def test_every_error_has_a_row_with_its_base_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section("Errors"), re.MULTILINE))
    assert set(rows) == own(exceptions, type)
    for name, base in rows.items():
        assert base in [parent.__name__ for parent in getattr(exceptions, name).__mro__[1:]]


def test_every_signal_has_a_row_and_no_other() -> None:
    assert names_in("Signals") == {name for name, value in vars(signals).items() if isinstance(value, Signal)}


def test_every_function_of_the_context_has_a_row_with_its_arguments_and_no_other() -> None:
    documented = dict(re.findall(r"^\| `(\w+)\(([^)]*)\)` \|", section("Blocks of code"), re.MULTILINE))
    functions = {name: getattr(context, name) for name in own(context, type(own))}
    assert set(documented) == set(functions)
    for name, arguments in documented.items():
        parameters = inspect.signature(functions[name]).parameters
        assert re.findall(r"\w+(?==)|\w+(?=,|$)", arguments.replace("=None", "")) == list(parameters)


def test_the_defaults_of_the_page_are_those_of_the_code() -> None:
    fields = conf.GroupConfig.__dataclass_fields__
    for key in ("SCATTER", "SCATTER_TIMEOUT_SECONDS", "SCATTER_THREADS", "MAX_ROWS", "MAX_KEYS", "TRANSACTIONS"):
        row = next(line for line in section("Keys of a logical database").splitlines() if f"| `{key}` |" in line)
        stated = row.split("|")[3].strip(' `"').replace(",", "")
        assert stated == str(fields[key.lower()].default)
