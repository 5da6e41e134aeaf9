"""``manage.py import_access_log``: each event once, bad lines told, whatever the file is like."""

from __future__ import annotations

import gzip
import io
import sys

import pytest
from conftest import LINES
from django.core.management import CommandError
from django.db import IntegrityError

from track.models import Device, PageView, Website

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def stored():
    """What is stored, without what differs from import to import."""
    fields = ("site__pk", "event_id", "time", "path", "status")
    return sorted(tuple(getattr_path(view, field) for field in fields) for view in PageView.objects.all())


def getattr_path(view, field):
    return view.site_id if field == "site__pk" else getattr(view, field)


def test_each_line_goes_to_its_virtual_host(run, log):
    """Websites are created, and their views are on the shard of each."""
    said = run("import_access_log", log)
    assert "8 lines" in said
    assert "7 views stored for 2 websites" in said
    sizes = {str(site): PageView.objects.filter(site=site).count() for site in Website.objects.all()}
    assert sizes == {"a.example": 4, "b.example": 3}


def test_what_is_stored(run, log):
    """Everything of a line but the address, which is nowhere."""
    run("import_access_log", log)
    site = Website.objects.get(domain="a.example")
    view = PageView.objects.filter(site=site, path="/shop/").get()
    assert (view.browser, view.system, view.device) == ("Firefox", "Windows", Device.DESKTOP)
    assert (view.status, view.size_bytes, view.referrer, view.is_page) == (200, 50, "a.example", True)
    assert view.time.isoformat() == "2026-03-02T10:00:09+00:00"
    assert "192.0.2" not in repr([vars(row) for row in PageView.objects.filter(site=site)])


def test_bad_lines_are_counted_and_shown(run, log):
    """They are not fatal; the first ones are told with their number and what is wrong."""
    said = run("import_access_log", log)
    assert "1 bad lines were left out" in said
    assert "line 6: not the combined log format" in said


def test_many_bad_lines_are_not_all_shown(run, tmp_path):
    """Five are; the others are a number."""
    (tmp_path / "bad.log").write_bytes(b"bad\n" * 12)
    said = run("import_access_log", tmp_path / "bad.log")
    assert "line 5:" in said
    assert "line 6:" not in said
    assert "and 7 more" in said
    assert PageView.objects.count() == 0


def test_importing_twice_doubles_nothing(run, log):
    """The second time nothing is stored, and the command says so."""
    run("import_access_log", log)
    before = stored()
    said = run("import_access_log", log)
    assert "0 views stored" in said
    assert "7 were imported before and are not doubled" in said
    assert stored() == before


def test_a_log_that_has_grown(run, log):
    """Only the new lines are stored."""
    run("import_access_log", log)
    log.write_bytes(log.read_bytes() + LINES[0].replace(b"10:00:00", b"10:59:00") + b"\n")
    said = run("import_access_log", log)
    assert "1 views stored" in said
    assert PageView.objects.count() == 8


@pytest.mark.parametrize("batch_lines", [1, 3, 1000])
def test_batches_change_nothing(run, log, batch_lines):
    """However many lines are stored at once."""
    run("import_access_log", log, batch_lines=batch_lines)
    assert PageView.objects.count() == 7


def test_gzip_is_the_same_log(run, log, tmp_path):
    """A packed log after the plain one stores nothing."""
    run("import_access_log", log)
    packed = tmp_path / "small.log.1"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert "0 views stored" in run("import_access_log", packed)


def test_standard_input(run, log, monkeypatch):
    """``-`` reads what is piped in, packed or not."""

    class Piped:
        buffer = io.BytesIO(gzip.compress(log.read_bytes()))

    monkeypatch.setattr(sys, "stdin", Piped)
    assert "7 views stored" in run("import_access_log", "-")


def test_all_lines_of_one_site(run, log):
    """``--site`` takes a key or a domain; the virtual hosts are not looked at."""
    site = Website.objects.create(domain="mine.example")
    run("import_access_log", log, site=site.key)
    assert PageView.objects.filter(site=site).count() == 7
    assert Website.objects.count() == 1
    assert "0 views stored" in run("import_access_log", log, site="mine.example")


def test_a_site_for_each_folder(run, tmp_path):
    """``--site-from=path`` takes the first folder; what has none goes to a website named like the file."""
    line = b'192.0.2.1 - - [02/Mar/2026:10:00:00 +0000] "GET %b HTTP/1.1" 200 1 "-" "-"\n'
    (tmp_path / "all.log").write_bytes(
        b"".join(line % path for path in (b"/blog/a", b"/blog/", b"/Blog/b", b"/x.html", b"/"))
    )
    run("import_access_log", tmp_path / "all.log", site_from="path")
    sizes = {str(site): PageView.objects.filter(site=site).count() for site in Website.objects.all()}
    assert sizes == {"blog": 3, "all": 2}


def test_lines_without_a_host(run, tmp_path):
    """They belong to a website that is named like the file."""
    (tmp_path / "access_log.gz").write_bytes(LINES[0].partition(b" ")[2])
    run("import_access_log", tmp_path / "access_log.gz")
    assert [str(site) for site in Website.objects.all()] == ["access_log"]


def test_an_unknown_site_is_named(run, log):
    """With those that there are."""
    Website.objects.create(domain="there.example")
    with pytest.raises(CommandError, match=r"'nowhere'.*there\.example"):
        run("import_access_log", log, site="nowhere")


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_a_file_that_is_none(run, tmp_path, name):
    """The error names the file."""
    with pytest.raises(CommandError, match="cannot be read"):
        run("import_access_log", tmp_path / name)


def test_a_packed_log_that_ends_too_early(run, log, tmp_path):
    """What was whole is stored or not, but never twice; the error says so."""
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(log.read_bytes())[:-12])
    with pytest.raises(CommandError, match="does not double"):
        run("import_access_log", broken, batch_lines=1)
    run("import_access_log", log)
    assert PageView.objects.count() == 7


def test_long_and_strange_text_fits(run, tmp_path):
    """Paths are cut to what a column holds; bytes that are no text are replaced."""
    strange = LINES[0].replace(b"GET / ", b"GET /\x00" + b"x" * 3000 + b" ").replace(b"Firefox", b"\xff\xfeF\x00x" * 50)
    (tmp_path / "log").write_bytes(strange)
    assert "1 views stored" in run("import_access_log", tmp_path / "log")
    path = PageView.objects.get().path
    assert len(path) == 500
    assert "\x00" not in path


def test_somebody_else_imports_the_same_log(run, log, monkeypatch):
    """What another process stored after this one had looked is found by looking again, not by an error."""
    from track import storing

    real, calls = storing._new_ones, []

    def look_too_early(views, *, site_id):
        if not calls:
            calls.append(site_id)
            copies = [PageView(site_id=site_id, time=v.time, path=v.path, event_id=v.event_id) for v in views[:2]]
            PageView.objects.bulk_create(copies)
            return list(views)
        return real(views, site_id=site_id)

    monkeypatch.setattr(storing, "_new_ones", look_too_early)
    said = run("import_access_log", log)
    assert "5 views stored" in said
    assert "2 were imported before" in said
    assert PageView.objects.count() == 7


def test_rows_that_are_refused_are_an_error(log, run, monkeypatch):
    """Nothing is left out silently: the error comes through after a few tries."""
    from track import storing

    monkeypatch.setattr(storing, "_new_ones", lambda views, *, site_id: [*views, views[0]])
    with pytest.raises(IntegrityError):
        run("import_access_log", log)
