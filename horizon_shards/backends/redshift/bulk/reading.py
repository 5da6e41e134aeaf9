"""How COPY reads files, said once for all that load by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypedDict

from horizon_shards.backends.redshift.bulk.statements import COMPRESSIONS, authorization, known, options
from horizon_shards.backends.redshift.literals import quoted


class Reading(TypedDict, total=False):
    """Arguments of :func:`copy_from_s3` and :func:`merge_from_s3`, all of which may be left out."""

    #: ``gzip``, ``bzip2``, ``zstd`` or ``lzop``; by default the files are not compressed.
    compression: str
    #: How many lines of each file of CSV are left out at its beginning.
    header_lines: int
    #: Who reads the files, by its ARN; by default ``OPTIONS["iam_role"]``, or the cluster's own.
    iam_role: str | None
    #: Whether the address is that of a manifest, which names the files.
    manifest: bool
    #: How many lines may be left out because they cannot be loaded.
    max_errors: int
    #: The region of the bucket, where it is not the cluster's.
    region: str


def read_by(connection: Any, format: str, how: Reading) -> Iterator[str]:
    """The end of a COPY; ``format`` as it stands behind FORMAT AS. Raises ``TypeError`` for an unknown argument."""
    if unknown := how.keys() - Reading.__annotations__.keys():
        names = ", ".join(sorted(Reading.__annotations__))
        raise TypeError(f"Files are not read by {', '.join(sorted(unknown))}; known are {names}.")
    compression, region = how.get("compression", ""), how.get("region", "")
    auto = "" if format == "PARQUET" else "'auto'"
    written: dict[str, str | bool] = {
        "FORMAT AS": format,
        known("compression", compression, COMPRESSIONS) if compression else "": bool(compression),
        "MANIFEST": how.get("manifest", False),
        "IGNOREHEADER AS": str(how.get("header_lines") or ""),
        "TIMEFORMAT AS": auto,
        "DATEFORMAT AS": auto,
        "MAXERROR AS": str(how.get("max_errors") or ""),
        "REGION AS": quoted(region) if region else "",
    }
    yield authorization(connection, how.get("iam_role"))
    yield from options(written)
