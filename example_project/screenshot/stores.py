"""Where screenshots are kept: a folder, or a bucket of S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from config.screenshots import Screenshots
from screenshot.errors import StoreError
from screenshot.shots import NAME, Shot, shot_of


class Store(Protocol):
    """What a place has to do; each raises ``StoreError`` where it does not answer."""

    def put(self, shot: Shot, image: bytes) -> None:
        """Keep an image; one of the same name is replaced."""

    def newest(self, site_id: int, *, limit: int) -> list[Shot]:
        """The newest screenshots of a website, newest first."""

    def image(self, site_id: int, name: str) -> bytes | None:
        """The PNG of this name, if it is there."""


def store() -> Store:
    """The place that the settings name."""
    found: Screenshots = settings.SCREENSHOTS
    return S3Store(found) if found.bucket else FolderStore(found.folder)


class FolderStore:
    """A folder for each website, and beside each image a JSON file with its facts. Nobody but the owner may look in."""

    def __init__(self, folder: Path) -> None:
        self.files = FileSystemStorage(
            location=folder, allow_overwrite=True, file_permissions_mode=0o600, directory_permissions_mode=0o700
        )

    def put(self, shot: Shot, image: bytes) -> None:
        """The facts first: an image without them is not listed."""
        with self._told():
            self.files.save(f"{shot.site_id}/{shot.name}.json", ContentFile(json.dumps(shot.facts()).encode()))
            self.files.save(f"{shot.site_id}/{shot.name}", ContentFile(image))

    def newest(self, site_id: int, *, limit: int) -> list[Shot]:
        """By name: the newest has the smallest."""
        with self._told():
            if not self.files.exists(str(site_id)):
                return []
            names = sorted(name for name in self.files.listdir(str(site_id))[1] if NAME.fullmatch(name))
            return [self._shot(site_id, name) for name in names[:limit]]

    def image(self, site_id: int, name: str) -> bytes | None:
        """The image, which is read as a whole."""
        with self._told():
            path = f"{site_id}/{name}"
            if not NAME.fullmatch(name) or not self.files.exists(path):
                return None
            with self.files.open(path) as file:
                found: bytes = file.read()
                return found

    def _told(self) -> AbstractContextManager[None]:
        return told("The folder of screenshots", OSError, ValueError, KeyError)

    def _shot(self, site_id: int, name: str) -> Shot:
        with self.files.open(f"{site_id}/{name}.json") as file:
            return shot_of(site_id, name, json.load(file))


class S3Store:
    """A bucket: tags for its rules, metadata for the facts. S3 lists by name, and so the newest come first."""

    def __init__(self, found: Screenshots) -> None:
        self.bucket = found.bucket
        self.prefix = found.prefix
        self.s3 = _client(found.endpoint)

    def put(self, shot: Shot, image: bytes) -> None:
        """One call, so that there is no image without its tags."""
        with self._told():
            self.s3.put_object(
                Bucket=self.bucket,
                Key=self._key(shot.site_id, shot.name),
                Body=image,
                ContentType="image/png",
                Metadata=shot.facts(),
                Tagging=urlencode(shot.tags()),
            )

    def newest(self, site_id: int, *, limit: int) -> list[Shot]:
        """One page of the list, and the facts of each."""
        with self._told():
            prefix = self._key(site_id, "")
            found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=limit).get("Contents", [])
            return [self._shot(site_id, entry["Key"]) for entry in found]

    def image(self, site_id: int, name: str) -> bytes | None:
        """The image, which is read as a whole."""
        if not NAME.fullmatch(name):
            return None
        with self._told():
            try:
                found: bytes = self.s3.get_object(Bucket=self.bucket, Key=self._key(site_id, name))["Body"].read()
            except self.s3.exceptions.NoSuchKey:
                return None
            return found

    def _told(self) -> AbstractContextManager[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        return told(f"The bucket {self.bucket} of screenshots", BotoCoreError, ClientError, ValueError, KeyError)

    def _shot(self, site_id: int, key: str) -> Shot:
        facts = self.s3.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        return shot_of(site_id, key.rpartition("/")[2], facts)

    def _key(self, site_id: int, name: str) -> str:
        return f"{self.prefix}{site_id}/{name}"


@lru_cache
def _client(endpoint: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise StoreError("SCREENSHOT_BUCKET needs boto3: pip install 'horizon-shards[aws]'.") from error
    # A dashboard waits for this, too.
    config = Config(connect_timeout=3, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 3})
    return boto3.session.Session().client("s3", endpoint_url=endpoint or None, config=config)


@contextmanager
def told(place: str, *kinds: type[Exception]) -> Iterator[None]:
    """Raise ``StoreError`` that names the place for an error of these kinds."""
    try:
        yield
    except kinds as error:
        raise StoreError(f"{place}: {error}") from error
