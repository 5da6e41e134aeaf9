"""Debian packages of another release, unpacked into a folder: nothing is installed, and apt keeps its own lists."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpack(packages: list[str], folder: Path, *, release: str) -> None:
    """Fetch packages of a release with all that they need from the mirror that apt uses here, and unpack them, once."""
    if folder.exists():
        return
    work = folder.with_name(f"{folder.name}-unfinished")
    shutil.rmtree(work, ignore_errors=True)
    (work / "root").mkdir(parents=True)
    apt = private_apt(work, release)
    run(*apt, "update")
    # Their maintainer scripts would never run: what they recommend is of no use.
    run(*apt, "install", "--download-only", "--yes", "--no-install-recommends", *packages)
    for archive in sorted((work / "cache" / "archives").glob("*.deb")):
        run("dpkg-deb", "--extract", str(archive), str(work / "root"))
    (work / "root").rename(folder)
    shutil.rmtree(work)


def private_apt(folder: Path, release: str) -> list[str]:
    """``apt-get`` with one release as its source, and lists, archives and installed packages (none) of its own."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {release} main\n")
    options = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": folder / "status",
        "Dir::Cache": folder / "cache",
        # A folder of ours is not open to apt's own user.
        "APT::Sandbox::User": "root",
    }
    return ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]


def mirror() -> str:
    """Where this machine's apt has Debian from."""
    wanted = ["Created-By: Packages", "Origin: Debian", "Label: Debian"]
    found = run("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted).split()
    if not found:
        raise RuntimeError("apt knows no mirror of Debian: run apt-get update, or name a server by SHARDS_HOST.")
    return found[0]


def run(*command: str) -> str:
    """The output of a command; raises with what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RuntimeError(
            f"{command[0]} is missing: packages are fetched on Debian and what derives from it."
        ) from None
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2_000:]}")
    return done.stdout
