"""Public data sets by name: fetched once from a pinned commit, verified by git blob id, kept in a cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from textrec.errors import ArgumentError, DataError, Problem

__all__ = ["CATALOGUE", "Entry", "blob_id", "cache_folder", "fetch"]

URL = "https://raw.githubusercontent.com/{repository}/{commit}/{file}"


@dataclass(frozen=True)
class Entry:
    """A public data set: where it lives and what its files must be."""

    repository: str
    commit: str
    files: Mapping[str, str]  # name → git blob id: SHA-1 of the content behind the header "blob <size>\0"

    def url(self, file: str) -> str:
        """The address of one file."""
        return URL.format(repository=self.repository, commit=self.commit, file=file)


CATALOGUE: dict[str, Entry] = {
    "citeulike-a": Entry(
        "js05212/citeulike-a",
        "91b603922d7f2d3db18071d4798bf78c9c5d1680",
        {
            "raw-data.csv": "2d366a8142639249324d800c17bce39d59032744",
            "mult.dat": "5df76b81fd9814116ed143bda6e8e843ba167123",
            "users.dat": "01c329a6df4e883f3282421557543a547eada9de",
            "item-tag.dat": "f9e559356b1a84ba3c709a7cb4bc87fea2dad459",
            "tags.dat": "231dccc10c3b5ecb421e028528072b652c67aa04",
            "vocabulary.dat": "06c634403471aaafbf4ea1f71324c1b0038640ab",
            "citations.dat": "5e8d91150d1bc1f8ce424a2ebe224a4fd1242e53",
        },
    ),
    "citeulike-t": Entry(
        "js05212/citeulike-t",
        "4f103c6ea0fe407b23be230837b65517e613c34a",
        {
            "rawtext.dat": "cf1a042dee7dca9aeacfb24828199a86be53b625",
            "mult.dat": "2805aec9d45376f5c2383db8bb0e0bed01290cb1",
            "users.dat": "a363574955fa4def72e3025ee79c2e36b9a05fd0",
            "tag-item.dat": "017f7e39c6d48a231a9a71c2e55c91624e6ec624",
            "tags.dat": "903eb3fcb0118a9caa1d36ccd27579ebceacd237",
            "vocabulary.dat": "4f16a05cde545a2e84ac09bc6ecedb3b560c4f5c",
            "citations.dat": "276a5210e567f281c0f934a5c6ce87373fdc9979",
        },
    ),
}


def blob_id(path: Path) -> str:
    """The git blob id of a file, read in pieces."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Where fetched data is kept: `cache_dir`, else the environment variable TEXTREC_CACHE, else the user's cache."""
    if chosen := cache_dir or os.environ.get("TEXTREC_CACHE"):
        return Path(chosen)
    import pooch

    return Path(pooch.os_cache("textrec"))


def fetch(name: str, *, cache_dir: str | Path | None = None, progress: Callable[[str], None] | None = None) -> Path:
    """Fetch a public data set into the cache, or find it there.

    Files that are there and verify are not fetched again; a file appears under its name only once it is whole and
    verified.

    Args:
        name: a key of `CATALOGUE`.
        cache_dir: where to keep it, see `cache_folder`.
        progress: called with the name of each file about to be fetched.

    Returns:
        The folder that holds the files.

    Raises:
        ArgumentError: the name is not in the catalogue.
        DataError: a file cannot be fetched (says which files to put where), written, or is not what it must be.
    """
    if name not in CATALOGUE:
        raise ArgumentError(f"unknown data set {name!r}; the catalogue has {', '.join(CATALOGUE)}")
    entry, folder = CATALOGUE[name], cache_folder(cache_dir) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"cannot make the cache folder ({error.strerror}); set TEXTREC_CACHE to a folder that can be written"
        raise DataError(Problem(said, str(folder))) from error
    missing = [file for file, wanted in entry.files.items() if not _verified(folder / file, wanted)]
    for file in missing:
        if progress is not None:
            progress(file)
        _download(entry, file, folder, missing)
    return folder


def _verified(path: Path, wanted: str) -> bool:
    return path.is_file() and blob_id(path) == wanted


def _download(entry: Entry, file: str, folder: Path, missing: list[str]) -> None:
    import pooch

    part = folder / f".{file}.{os.getpid()}.part"
    try:
        pooch.HTTPDownloader(timeout=30)(entry.url(file), str(part), None)
        found = blob_id(part)
        if found != entry.files[file]:
            said = f"fetched a file with git blob id {found}, expected {entry.files[file]}; it was not kept: try again"
            raise DataError(Problem(said, str(folder / file)))
        part.replace(folder / file)
    except OSError as error:  # every network failure of requests is an OSError
        raise DataError(_offline(entry, file, folder, missing, error)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _offline(entry: Entry, file: str, folder: Path, missing: list[str], error: OSError) -> Problem:
    listed = ", ".join(missing)
    return Problem(
        f"could not fetch {entry.url(file)} ({type(error).__name__}). Without a network, put these files of the "
        f"repository {entry.repository} at commit {entry.commit} into {folder}: {listed}; "
        f"or set TEXTREC_DATA to a folder that has them in a subfolder {folder.name}"
    )
