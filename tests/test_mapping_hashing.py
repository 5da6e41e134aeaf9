"""The frozen hash of shard keys. A golden vector that fails here means lost data: never change the vector."""

from __future__ import annotations

import datetime
import decimal
import enum
import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from horizon_shards.exceptions import InvalidShardKey
from horizon_shards.mapping.hashing import hash_key, label_of, normalized, stored_text

DAY = datetime.date(2026, 11, 22)
GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")

#: Computed with ``b2sum -l 64`` of GNU coreutils over the bytes that docs/decisions/0002 describes.
GOLDEN = [
    (0, 0x7AF38095FD650CB3, "x6930"),
    (-1, 0xF6A29EC6C79464A7, "x692d31"),
    (42, 0x0E43B9C5CFC40C96, "x693432"),
    (2**63 - 1, 0xD1EC592DE94B6CD1, "x6939323233333732303336383534373735383037"),
    ("", 0xE64984C3AACF6EDE, "x73"),
    ("acme", 0x8080A3E4B5A2CAA4, "x7361636d65"),
    ("Zürich 東京 🚲", 0xE08036D39FB59F07, "x735ac3bc7269636820e69db1e4baac20f09f9ab2"),
    (DAY, 0x00296C05C393E235, "x64323032362d31312d3232"),
    (datetime.date(1, 1, 1), 0xE0DE09A91ECF8B49, "x64303030312d30312d3031"),
    (GUID, 0x3EBB5638E56C559F, "x7512345678123456781234567812345678"),
    ((1, 2), 0x32DC97CB355D3313, "x74000000026931000000026932"),
    (("eu", DAY), 0xC679DD643E712E88, "x74000000037365750000000b64323032362d31312d3232"),
]


@pytest.mark.parametrize(("key", "hashed", "text"), GOLDEN)
def test_hash_and_stored_text_are_frozen(key: object, hashed: int, text: str) -> None:
    assert hash_key(key) == hashed
    assert stored_text(key) == text


def test_a_long_key_is_stored_as_a_digest_that_fits_the_column() -> None:
    """``b2sum -l 256`` over ``s`` and 200 zeros."""
    assert stored_text("0" * 200) == "hcb395f908631a55151cf1cc97075de7e8e5637e67fb5efca3ec007d34bbd35be"
    assert len(stored_text("0" * 95)) == 193
    assert stored_text("0" * 96).startswith("h")


@given(st.text() | st.integers() | st.dates() | st.uuids() | st.tuples(st.text(), st.integers()))
def test_stored_texts_are_short_ascii_in_one_case(key: object) -> None:
    """So that no collation, of whatever database, sees two keys as one."""
    text = stored_text(key)
    assert len(text) <= 200
    assert text.isascii()
    assert text == text.lower()
    assert len(label_of(key)) <= 200
    assert label_of(key).isprintable()


@pytest.mark.parametrize("padded", ["a ", "a   "])
def test_trailing_spaces_do_not_count_as_mysql_calls_such_texts_equal(padded: str) -> None:
    assert hash_key(padded) == hash_key("a")
    assert stored_text(padded) == stored_text("a")
    assert hash_key((padded, 1)) == hash_key(("a", 1))
    assert normalized((padded, 1)) == ("a", 1)


@pytest.mark.parametrize("other", ["A", " a", "a\t", "a\u00a0", "á"])
def test_every_other_difference_counts(other: str) -> None:
    assert hash_key(other) != hash_key("a")


def test_unicode_is_not_normalized() -> None:
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    assert hash_key(composed) != hash_key(decomposed)


def test_types_are_told_apart() -> None:
    keys = [1, "1", (1,), ("1",), "i1", uuid.UUID(int=1), DAY, DAY.isoformat(), ("a", "b"), ("ab",), ("a", "", "b")]
    assert len({hash_key(key) for key in keys}) == len(keys)


def test_members_of_an_enumeration_are_their_values() -> None:
    class Plan(str, enum.Enum):
        PRO = "pro"

    assert hash_key(Plan.PRO) == hash_key("pro")
    assert hash_key(enum.IntEnum("Number", {"ONE": 1})(1)) == hash_key(1)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "None of type NoneType .* a row without a key has no shard"),
        (True, "True of type bool .* int\\(value\\)"),
        (1.5, "1.5 of type float .* use an int or a string"),
        (decimal.Decimal("1.0"), "of type Decimal .* use an int or a string"),
        (datetime.datetime(2026, 11, 22), "of type datetime .* use its date\\(\\)"),
        (b"a", "of type bytes .* UUID"),
        ([1], "of type list .* keys are int, str, UUID, date, or tuples"),
        ((1, None), "None of type NoneType"),
        ((1, (2, 3)), "of type tuple"),
        ((), "at least one part"),
        ("\ud800", "no valid Unicode"),
    ],
)
def test_what_cannot_be_hashed_stably_is_refused_with_the_cure(key: object, message: str) -> None:
    with pytest.raises(InvalidShardKey, match=message):
        hash_key(key)


def test_labels_are_for_people() -> None:
    assert label_of(7) == "7"
    assert label_of("7") == "'7'"
    assert label_of(("eu", DAY)) == "'eu', 2026-11-22"
