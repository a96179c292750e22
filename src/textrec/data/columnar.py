"""A data set as a folder of columns: what is large is memory-mapped, so that opening it costs next to nothing.

    columnar.json            version, sizes, and the bytes of every other file
    users.parquet            user_id
    items.parquet            item_id, title, text
    words.parquet            word; tags.parquet: tag
    likes.indptr.npy         CSR of the likes [U, I], likes.indices.npy beside it; timestamps.npy at the same places
    item_tags.indptr.npy     CSR of the tags [I, G], item_tags.indices.npy beside it
    documents.starts.npy     the tokenised texts, documents.ids.npy beside it; documents.counts.npy for bags of words
    ones.npy                 as many ones as the longer CSR has entries: scipy wants values, and these take no memory

`data.columnar_writer` writes such folders. Ids, titles and texts are read into memory; every `.npy` file is mapped
for reading, and the system keeps as much of it as there is room for.

Shapes: `U` users, `I` items, `G` tags, `N` tokens.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from textrec.dataset import Csr, Dataset, Ids, Items
from textrec.errors import DataError, Problem
from textrec.text import Documents

__all__ = ["MANIFEST", "Sizes", "is_columnar", "manifest_text", "read_columnar"]

MANIFEST = "columnar.json"

VERSION = 1
"""Of the layout; a reader refuses a higher one."""

_MAKER = "textrec columnar data"
_AGAIN = "convert or copy the folder again"


@dataclass(frozen=True)
class Sizes:
    """What a folder holds, as the manifest says it."""

    users: int
    items: int
    likes: int
    tags: int  # distinct ones
    item_tags: int  # tags on items, all together
    words: int  # distinct ones
    tokens: int  # entries of `documents.ids`
    ordered: bool = True  # False: bags of words, with counts
    timestamps: bool = False


def is_columnar(folder: Path) -> bool:
    """Whether a folder is of this layout, damaged or not."""
    return (folder / MANIFEST).is_file()


def manifest_text(name: str, sizes: Sizes, folder: Path) -> str:
    """The manifest of the files that are in a folder."""
    found = {entry.name: entry.stat().st_size for entry in sorted(folder.iterdir()) if entry.name != MANIFEST}
    content = {"what": _MAKER, "version": VERSION, "name": name, "sizes": asdict(sizes), "files": found}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def read_columnar(folder: Path) -> Dataset:
    """Open a folder; every array of it is mapped, none is copied.

    Returns:
        The data set, named after the folder.

    Raises:
        DataError: a manifest that is damaged or of a newer version, a file that is missing or of another size, or
            arrays that do not fit together.
    """
    sizes = _manifest(folder)
    likes = _matrix(folder, "likes", (sizes.users, sizes.items), sizes.likes)
    timestamps = None
    if sizes.timestamps:
        seconds = _array(folder, "timestamps.npy", sizes.likes, "i")
        timestamps = sp.csr_array((seconds, likes.indices, likes.indptr), shape=likes.shape)
    words = _column(folder, "words.parquet", "word", sizes.words).to_list()
    starts = _array(folder, "documents.starts.npy", sizes.items + 1, "i")
    _check_starts(folder / "documents.starts.npy", starts, sizes.tokens)
    ids = _array(folder, "documents.ids.npy", sizes.tokens, "i")
    _check_range(folder / "documents.ids.npy", ids, sizes.words)
    counts = None if sizes.ordered else _array(folder, "documents.counts.npy", sizes.tokens, "f")
    items = Items(
        Ids(_column(folder, "items.parquet", "item_id", sizes.items)),
        _column(folder, "items.parquet", "title", sizes.items),
        _column(folder, "items.parquet", "text", sizes.items),
        Documents(words, ids, starts, counts),
        _matrix(folder, "item_tags", (sizes.items, sizes.tags), sizes.item_tags),
        Ids(_column(folder, "tags.parquet", "tag", sizes.tags)),
    )
    users = Ids(_column(folder, "users.parquet", "user_id", sizes.users))
    return Dataset(users, items, likes, timestamps, name=folder.resolve().name)


def _manifest(folder: Path) -> Sizes:
    """The sizes, once every file is there with the bytes that the manifest names."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise _fault(path, f"damaged ({error}); {_AGAIN}") from None
    if not isinstance(manifest, dict) or manifest.get("what") != _MAKER:
        raise _fault(path, "not the manifest of columnar data; `textrec data convert` writes such folders")
    if manifest.get("version", 0) > VERSION:
        newer = f"version {manifest['version']}, and this textrec reads up to {VERSION}; upgrade textrec"
        raise _fault(path, newer)
    try:
        sizes, files = Sizes(**manifest["sizes"]), dict(manifest["files"])
    except (KeyError, TypeError, ValueError):
        names = ", ".join(spec.name for spec in fields(Sizes))
        raise _fault(path, f"damaged: it needs files and sizes ({names}); {_AGAIN}") from None
    faults = [problem for name, size in files.items() for problem in _file_faults(folder / name, size)]
    if faults:
        raise DataError(faults)
    return sizes


def _file_faults(path: Path, size: int) -> list[Problem]:
    if not path.is_file():
        return [Problem(f"missing; {_AGAIN}", str(path))]
    there = path.stat().st_size
    if there == size:
        return []
    return [Problem(f"has {there:,} bytes where the manifest says {size:,}; {_AGAIN}", str(path))]


def _array(folder: Path, name: str, length: int, kind: str) -> npt.NDArray[Any]:
    """A mapped array of one dimension, as long as it must be."""
    path = folder / name
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _fault(path, f"not a readable .npy file ({error}); {_AGAIN}") from None
    if mapped.ndim != 1 or len(mapped) < length or mapped.dtype.kind != kind:
        found = f"{mapped.dtype} of shape {mapped.shape}"
        raise _fault(path, f"is {found} where {length:,} numbers of kind {kind!r} are expected; {_AGAIN}")
    return np.asarray(mapped)[:length]


def _matrix(folder: Path, name: str, shape: tuple[int, int], entries: int) -> Csr:
    starts = _array(folder, f"{name}.indptr.npy", shape[0] + 1, "i")
    columns = _array(folder, f"{name}.indices.npy", entries, "i")
    _check_starts(folder / f"{name}.indptr.npy", starts, entries)
    _check_range(folder / f"{name}.indices.npy", columns, shape[1])
    return sp.csr_array((_array(folder, "ones.npy", entries, "f"), columns, starts), shape=shape)


def _check_starts(path: Path, starts: npt.NDArray[Any], end: int) -> None:
    if starts[0] != 0 or starts[-1] != end or (np.diff(starts) < 0).any():
        raise _fault(path, f"damaged: it must rise from 0 to {end:,}; {_AGAIN}")


def _check_range(path: Path, numbers: npt.NDArray[Any], end: int) -> None:
    """A number out of its range would make compiled code read what is not there."""
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < end):
        raise _fault(path, f"damaged: numbers must be from 0 to {end - 1:,}; {_AGAIN}")


def _column(folder: Path, name: str, column: str, length: int) -> pl.Series:
    path = folder / name
    try:
        found = pl.read_parquet(path, columns=[column])[column]
    except (OSError, pl.exceptions.PolarsError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _fault(path, f"not a readable Parquet file with the column {column!r} ({first}); {_AGAIN}") from None
    if len(found) != length or found.dtype != pl.String:
        raise _fault(path, f"{column!r} has {len(found):,} rows of {found.dtype}, {length:,} strings are expected")
    return found


def _fault(path: Path, message: str) -> DataError:
    return DataError(Problem(message, str(path)))
