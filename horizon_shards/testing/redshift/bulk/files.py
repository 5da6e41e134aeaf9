"""Where ``s3://`` leads: a folder with a folder for each bucket, or S3 itself or its stand-in, by boto3."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from django.db import NotSupportedError


class Files(Protocol):
    """Objects of S3 by bucket and key."""

    def names(self, bucket: str, prefix: str) -> list[str]:
        """The keys that begin with a prefix, in order."""

    def read(self, bucket: str, key: str) -> bytes:
        """The content of an object."""

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Make or replace an object."""


class Folder:
    """Objects as files below a folder."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def names(self, bucket: str, prefix: str) -> list[str]:
        root = self._folder / bucket
        found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        return sorted(name for name in found if name.startswith(prefix))

    def read(self, bucket: str, key: str) -> bytes:
        return (self._folder / bucket / key).read_bytes()

    def write(self, bucket: str, key: str, content: bytes) -> None:
        path = self._folder / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class S3:
    """Objects by boto3; ``endpoint`` is the address of a stand-in."""

    def __init__(self, endpoint: str | None = None) -> None:
        try:
            import boto3
        except ImportError as error:  # pragma: no cover - the message is for those without boto3
            raise NotSupportedError(
                "COPY and UNLOAD need boto3 here, or OPTIONS['s3_folder'], a folder in the place of S3."
            ) from error
        self._client: Any = boto3.client("s3", endpoint_url=endpoint)

    def names(self, bucket: str, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def read(self, bucket: str, key: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def write(self, bucket: str, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=bucket, Key=key, Body=content)


def split(url: str) -> tuple[str, str]:
    """Bucket and key of an ``s3://`` address."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def unpacked(content: bytes, compression: str) -> bytes:
    """The content without its compression."""
    if not compression:
        return content
    found: bytes = _of(compression).decompress(content)
    return found


def packed(content: bytes, compression: str) -> bytes:
    """The content compressed."""
    return _of(compression).compress(content) if compression else content


def _of(compression: str) -> Any:
    known = {"GZIP": gzip, "BZIP2": bz2}
    if compression not in known:
        raise NotSupportedError(f"The strict local Redshift does not know {compression}: it has GZIP and BZIP2.")
    return known[compression]


def objects(files: Files, url: str) -> Iterator[tuple[str, str]]:
    """Bucket and key of each object whose name begins with an address."""
    bucket, prefix = split(url)
    for name in files.names(bucket, prefix):
        yield bucket, name
