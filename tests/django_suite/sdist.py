"""Django's tests, out of the source distribution of the running version."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import django


def fetch_tests(cache: Path) -> Path:
    """The folder of Django's tests below ``cache``; downloaded by pip and unpacked where it is not there yet."""
    version = django.get_version()
    folder = cache / f"django-{version}" / "tests"
    if not (folder / "runtests.py").exists():
        with tarfile.open(_download(version, cache)) as archive:
            archive.extractall(cache, filter="data")
    return folder


def _download(version: str, cache: Path) -> Path:
    archive = cache / f"django-{version}.tar.gz"
    if not archive.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps"]
        subprocess.run([*command, "--dest", str(cache), f"django=={version}"], check=True)
    return archive
