"""Folders that appear whole or not at all, and hashes of what is in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["sha256_of", "staged_folder"]


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` to write files to; it takes target's place once the block ended without an error.

    A reader sees the old folder or the new one, never half of one. The caller decides whether an older folder there
    may go.

    Raises:
        OSError: writing failed; what was there before is unchanged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-", dir=target.parent))
    try:
        yield staging
        mask = os.umask(0)
        os.umask(mask)
        staging.chmod(0o777 & ~mask)  # temporary folders and some writers' files are private, results are not
        for entry in staging.iterdir():
            entry.chmod(0o666 & ~mask)
            _sync(entry)
        _swap(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _swap(staging: Path, target: Path) -> None:
    """Put the new folder in place; the old one comes back when that fails."""
    if not target.exists():
        staging.rename(target)
        return
    old = target.parent / f".{target.name}.old-{os.getpid()}"
    target.rename(old)
    try:
        staging.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
