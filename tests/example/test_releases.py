"""Two releases at once: the code of before works on shards of which some have the tables of the next one already."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import EXAMPLE
from test_same_report import DIGEST

FIELD = "language = models.CharField(max_length=8, {default}, blank=True)"
INDEX = 'models.Index(fields=["language"], name="views_by_language")'
MIGRATION = f"""
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("track", "0001_initial")]
    operations = [
        migrations.AddField("pageview", {FIELD.replace(" = ", '", ').replace("language", '"language')}),
        migrations.AddIndex("pageview", {INDEX}),
    ]
"""
#: What the code of before does with rows of every website; it leaves what it found.
ACT = """
import datetime, json
from report.placement import shards_of
from track.models import PageView, Website
noon, written = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc), {}
for site in Website.objects.all():
    view = PageView.objects.create(site=site, time=noon, visitor="v", path="/new/")
    view.path = "/saved/"
    view.save()
    PageView.objects.bulk_create([PageView(site=site, time=noon, visitor="v", path="/bulk/") for _ in range(3)])
    mine = PageView.objects.filter(site=site, visitor="v")
    assert mine.update(browser="b") == 4
    assert sorted(mine.filter(browser="b").values_list("path", flat=True)) == ["/bulk/"] * 3 + ["/saved/"]
    assert mine.delete()[0] == 4
    shard = shards_of([site.pk])[site.pk]
    written[shard] = written.get(shard, 0) + 4
print(json.dumps(written))
"""
#: An import, and its counts.
IMPORT = """
import io
from django.core.management import call_command
for command in (["import_access_log", {log!r}], ["aggregate"]):
    call_command(*command, stdout=io.StringIO())
"""
#: The report, and a digest of all rows.
RESULTS = f"""
from django.core.management import call_command
call_command("demo_report", "--json")
{DIGEST}
"""
COUNT = """
from horizon_shards.context import allow_scatter
from track.models import PageView
with allow_scatter():
    print(PageView.objects.count(), PageView.objects.filter(language="").count())
"""
SHELL = ("manage.py", "shell", "--no-imports", "-v", "0", "-c")
STOPPED = "track_3"


@pytest.fixture
def next_release(tmp_path):
    """Makes the project with a column more, which has this default."""

    def make(default):
        folder = tmp_path / "next_release"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
        models = folder / "track" / "models.py"
        field, index = FIELD.format(default=default), "indexes = ["
        text = models.read_text().replace("    is_page = ", f"    {field}\n    is_page = ")
        models.write_text(text.replace(index, f"{index}{INDEX}, "))
        (folder / "track" / "migrations" / "0002_language.py").write_text(MIGRATION.format(default=default))
        return folder

    return make


@pytest.fixture
def log(tmp_path):
    """Every tenth line of the log that ships: the first half of them, and all."""
    lines = gzip.decompress((EXAMPLE / "data" / "access_log.gz").read_bytes()).splitlines(keepends=True)[::10]
    halves = tmp_path / "half.log", tmp_path / "whole.log"
    for path, count in zip(halves, (len(lines) // 2, len(lines)), strict=True):
        path.write_bytes(b"".join(lines[:count]))
    return halves


def ask(path: Path, statement: str) -> None:
    """Change one database, past Django."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def half_migrated(process, tmp_path: Path, code: Path) -> str:
    """Migrate with the next release; a shard in whose way something is stays as it was. What the command says."""
    ask(tmp_path / "data" / f"{STOPPED}.sqlite3", "CREATE INDEX views_by_language ON django_migrations (app)")
    with pytest.raises(AssertionError, match="1 of 4 shards of 'track' were not migrated") as raised:
        process("manage.py", "migrate", "--database=track", code=code)
    return str(raised.value)


def test_the_previous_release_works_on_shards_that_are_half_migrated(process, tmp_path, log, next_release):
    """It reads, imports, counts, changes and deletes as if no shard had been migrated; then the others follow."""
    half, whole = log
    process("demo.py", "--no-serve", "--log", whole, folder="never_migrated", VISITOR_SALT="same")
    expected = process(*SHELL, RESULTS, folder="never_migrated")
    process("demo.py", "--no-serve", "--log", half, VISITOR_SALT="same")
    code = next_release('db_default=""')
    assert "No changes" in process("manage.py", "makemigrations", "--check", "track", code=code)
    assert STOPPED in half_migrated(process, tmp_path, code)
    with pytest.raises(AssertionError, match=r"shard 'track-3'.*no such column: track_pageview\.language"):
        process(*SHELL, COUNT, code=code)

    written = json.loads(process(*SHELL, ACT).splitlines()[-1])
    assert sorted(written) == ["track-1", "track-2", "track-3", "track-4"]
    assert process(*SHELL, IMPORT.format(log=str(whole)) + RESULTS, VISITOR_SALT="same") == expected

    ask(tmp_path / "data" / f"{STOPPED}.sqlite3", "DROP INDEX views_by_language")
    process("manage.py", "migrate", "--database=track", code=code)
    count, with_column = process(*SHELL, COUNT, code=code).split()
    assert int(count) == int(with_column) > 300
    assert process(*SHELL, RESULTS) == expected


def test_a_default_that_the_database_does_not_know_stops_the_previous_release(process, tmp_path, log, next_release):
    """``default`` is the new code's alone: rows of the old code have no value for the column."""
    process("demo.py", "--no-serve", "--log", log[0])
    half_migrated(process, tmp_path, next_release('default=""'))
    with pytest.raises(AssertionError, match=r"shard 'track-1'.*NOT NULL constraint failed: track_pageview\.language"):
        process(*SHELL, ACT)
