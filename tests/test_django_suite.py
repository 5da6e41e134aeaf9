"""How the runs of Django's own suite are judged and written down."""

from __future__ import annotations

from pathlib import Path

from horizon_shards.exceptions import QueryNotSupported
from tests.django_suite.page import write_page
from tests.django_suite.recording import record_of
from tests.django_suite.verdicts import COUNTS, Verdict, all_of, judge, read_explained

PASSED = {"outcome": "passed"}
WRONG = {"outcome": "wrong", "error": "AssertionError: 3 != 1"}
REFUSED = {"outcome": "refused", "reason": "raw-sql"}


def test_only_what_passes_on_plain_sqlite_counts() -> None:
    plain = {"m.T.a": PASSED, "m.T.b": {"outcome": "skipped"}, "m.T.c": WRONG}
    verdict = judge("m", plain, {"m.T.a": PASSED, "m.T.b": WRONG, "m.T.c": WRONG}, {})
    assert (verdict.passed, verdict.run) == (["m.T.a"], 1)


def test_of_redshift_counts_what_is_not_skipped() -> None:
    records = {"m.T.a": PASSED, "m.T.b": {"outcome": "skipped"}, "m.T.c": WRONG}
    verdict = judge("m", all_of(records), records, {})
    assert (verdict.passed, list(verdict.wrong), verdict.run) == (["m.T.a"], ["m.T.c"], 2)


def test_a_test_that_did_not_run_ends_as_its_class_did_or_is_wrong() -> None:
    plain = {"m.T.a": PASSED, "m.U.a": PASSED}
    verdict = judge("m", plain, {"setUpClass (m.T)": REFUSED}, {})
    assert verdict.refused == {"m.T.a": "raw-sql"}
    assert list(verdict.wrong) == ["m.U.a"]


def test_a_class_that_cannot_be_torn_down_is_wrong() -> None:
    assert list(judge("m", {"m.T.a": PASSED}, {"m.T.a": PASSED, "tearDownClass (m.T)": WRONG}, {}).wrong) == [
        "tearDownClass (m.T)"
    ]


def test_a_refusal_is_one_of_ours_and_anything_else_is_wrong() -> None:
    error = RuntimeError("in the test")
    error.__context__ = QueryNotSupported("no", reason="raw-sql")
    assert record_of(error)["reason"] == "raw-sql"
    assert record_of(AssertionError("1 != 2"))["outcome"] == "wrong"


def test_counts_explain_only_what_passes_when_they_do_not_matter() -> None:
    verdict = Verdict("m", wrong={"a": WRONG, "b": WRONG, "c": WRONG})
    verdict.explain_counts({"a": PASSED, "b": WRONG, "c": REFUSED})
    assert (verdict.explained, list(verdict.wrong), verdict.refused) == ({"a": COUNTS}, ["b"], {"c": "raw-sql"})


def test_every_explanation_has_a_cause_and_a_test() -> None:
    for mode in ("reference", "sharded", "redshift"):
        explained = read_explained(mode)
        assert explained
        assert all(cause and test.count(".") >= 3 for test, cause in explained.items())


def test_the_page_keeps_the_other_mode(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for mode, count in (("reference", 1), ("sharded", 2), ("reference", 3)):
        write_page(page, mode, [Verdict("basic", passed=["test"] * count)])
    text = page.read_text(encoding="utf-8")
    assert "| basic | 3 | 3 |" in text
    assert "| basic | 2 | 2 |" in text
    assert "| basic | 1 | 1 |" not in text
    assert text.count("<!-- reference -->") == 1
    assert "<!-- end of reference -->\n\n<!-- sharded -->\n" in text
    assert text.endswith("<!-- end of sharded -->\n")
