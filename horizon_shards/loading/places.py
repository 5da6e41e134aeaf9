"""Where objects lie: a prefix of a bucket, or a folder in its place."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from horizon_shards.exceptions import ConfigurationError

#: Larger objects are kept on the disk while they are read.
MEMORY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """One object. ``mark`` is another one where its content is another one: the ETag of S3."""

    bucket: str
    key: str
    mark: str

    @property
    def digest(self) -> str:
        """64 hex digits that name this content of this object."""
        return hashlib.sha256(f"{self.bucket}\n{self.key}\n{self.mark}".encode()).hexdigest()


class Place(Protocol):
    """Objects below an address. Whatever goes wrong with them is an ``OSError`` that names the object."""

    address: str

    def objects(self) -> Iterator[Stored]:
        """All of them, by the order of their keys."""

    def name(self, stored: Stored) -> str:
        """The address of an object."""

    def inside(self, stored: Stored) -> str:
        """The key of an object without what all keys of the place begin with."""

    def open(self, stored: Stored) -> IO[bytes]:
        """The content, at hand as a whole."""

    def write(self, name: str, content: IO[bytes]) -> str:
        """Make or replace the object of this name in the place; its address."""

    def remove(self, name: str) -> None:
        """Remove the object of this name, if it is there."""


def place_of(address: str, *, endpoint: str | None = None, region: str | None = None) -> Place:
    """``s3://bucket/prefix``, or a folder; raises ``ConfigurationError`` for an address that is neither."""
    if address.startswith("s3://"):
        return S3(address, endpoint=endpoint, region=region)
    if "://" in address:
        raise ConfigurationError(f"{address!r} is no place for objects: write s3://bucket/prefix, or a folder.")
    return Folder(address)


class Folder:
    """Files below a folder; the time of its last change is the mark of one."""

    def __init__(self, address: str) -> None:
        self._folder = Path(address).resolve()
        self.address = str(self._folder)

    def objects(self) -> Iterator[Stored]:
        if not self._folder.is_dir():
            raise FileNotFoundError(f"{self.address} is no folder.")
        for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            found = path.stat()
            mark = f"{found.st_mtime_ns}-{found.st_size}"
            yield Stored(str(self._folder), path.relative_to(self._folder).as_posix(), mark)

    def name(self, stored: Stored) -> str:
        return f"{stored.bucket}/{stored.key}"

    def inside(self, stored: Stored) -> str:
        return stored.key

    def open(self, stored: Stored) -> IO[bytes]:
        return (Path(stored.bucket) / stored.key).open("rb")

    def write(self, name: str, content: IO[bytes]) -> str:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
            shutil.copyfileobj(content, draft)
        Path(draft.name).replace(path)
        return str(path)

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):  # a key of S3 may be ../../etc
            raise PermissionError(f"{name!r} is not below {self.address}.")
        return path


class S3:
    """Objects of S3, or of its stand-in at ``endpoint``; boto3 reads what is not given from its environment."""

    def __init__(self, address: str, *, endpoint: str | None = None, region: str | None = None) -> None:
        self.address = address
        self._bucket, _, self._prefix = address.removeprefix("s3://").partition("/")
        if not self._bucket:
            raise ConfigurationError(f"{address!r} names no bucket: write s3://bucket/prefix.")
        try:
            import boto3
        except ImportError as error:
            raise ConfigurationError("Objects of S3 need boto3: pip install 'horizon-shards[aws]'.") from error
        session = boto3.session.Session()
        self._client: Any = session.client("s3", endpoint_url=endpoint, region_name=region)

    def objects(self) -> Iterator[Stored]:
        with _told(self.address):
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            ):
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):  # consoles make such ones for folders
                        yield Stored(self._bucket, entry["Key"], entry["ETag"].strip('"'))

    def name(self, stored: Stored) -> str:
        return f"s3://{stored.bucket}/{stored.key}"

    def inside(self, stored: Stored) -> str:
        return stored.key.removeprefix(self._prefix).lstrip("/")

    def open(self, stored: Stored) -> IO[bytes]:
        content = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
        try:
            with _told(self.name(stored)):
                # Of what was listed, and of nothing that has taken its place since.
                found = self._client.get_object(Bucket=stored.bucket, Key=stored.key, IfMatch=stored.mark)
                shutil.copyfileobj(found["Body"], content)
        except BaseException:
            content.close()
            raise
        content.seek(0)
        return content

    def write(self, name: str, content: IO[bytes]) -> str:
        key = self._key(name)
        with _told(f"s3://{self._bucket}/{key}"):
            self._client.upload_fileobj(content, self._bucket, key)
        return f"s3://{self._bucket}/{key}"

    def remove(self, name: str) -> None:
        with _told(self.address):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def _key(self, name: str) -> str:
        return f"{self._prefix.rstrip('/')}/{name}".lstrip("/")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """boto3's errors as ``OSError``."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise OSError(f"{name}: {error}") from error
