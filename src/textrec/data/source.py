"""`read`: one entrance for folders, tables, public data by name, and the built-in sample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from textrec.data.catalogue import CATALOGUE, cache_folder, fetch
from textrec.data.citeulike import read_citeulike
from textrec.data.columnar import is_columnar, read_columnar
from textrec.data.files import SUFFIXES, suffix_of
from textrec.data.tables import read_tables
from textrec.dataset import Dataset
from textrec.errors import ArgumentError, DataError, Problem

__all__ = ["read"]


def read(
    source: str | Path | None = None,
    *,
    likes: Any = None,
    items: Any = None,
    min_rating: float | None = None,
    strict: bool = False,
    encoding: str = "utf-8",
) -> Dataset:
    """Read a data set.

    Args:
        source: a folder in the layout of CiteULike (it has a users.dat), a folder with a likes and an items table
            (`likes.*`, `items.*`: CSV, TSV, JSONL or Parquet), a columnar folder (`textrec data convert`; its arrays
            are memory-mapped), a name of the catalogue (`citeulike-a`, `citeulike-t`;
            fetched when it is not there), or "sample" for simulated data. A name that is no folder is looked for in
            the folder named by the environment variable TEXTREC_DATA, then in the catalogue's cache.
        likes: instead of `source`: path or table (polars, pandas, Arrow) with `user_id`, `item_id` and optionally
            `timestamp`, `rating`.
        items: beside `likes`: path or table with `item_id`, `title`, `text`, `tags`, `bag`, see `read_tables`.
        min_rating: likes rated lower are dropped.
        strict: whether a like of an unknown item is an error (else it is dropped, with a warning). In the CiteULike
            layouts it always is.
        encoding: of text tables; CiteULike files are UTF-8 or Latin-1 by themselves.

    Returns:
        The data set, named after the folder; what was noticed while reading stands in its `problems`.

    Raises:
        ArgumentError: not exactly one of `source` and `likes` with `items` is given.
        DataError: nothing is found (says where it looked), or the data cannot be used (lists every fault).
    """
    if source is None:
        if likes is None or items is None:
            raise ArgumentError("read needs a source, or both likes= and items=")
        return read_tables(likes, items, min_rating=min_rating, strict=strict, encoding=encoding)
    if likes is not None or items is not None:
        raise ArgumentError("read takes a source or likes= and items=, not both; leave one out")
    folder = _find(source)
    columnar = folder is not None and is_columnar(folder)
    tabular = folder is not None and not columnar and not (folder / "users.dat").is_file()
    if min_rating is not None and not tabular:
        raise DataError(Problem("min_rating needs a likes table with ratings; leave it out", str(folder or source)))
    if folder is None:
        from textrec.data.sample import sample

        return sample()
    if not tabular:
        return read_columnar(folder) if columnar else read_citeulike(folder)
    tables = _table(folder, "likes"), _table(folder, "items")
    name = folder.resolve().name
    return read_tables(*tables, min_rating=min_rating, strict=strict, encoding=encoding, name=name)


def _find(source: str | Path) -> Path | None:
    """The folder a source means; None for the sample."""
    path = Path(source)
    if path.is_dir():
        return path
    if path.is_file():
        said = "this is a file; pass a folder, or the two tables as likes= and items= (--likes, --items)"
        raise DataError(Problem(said, str(path)))
    name = str(source)
    if name == "sample":
        return None
    places = [cache_folder() / name]
    if home := os.environ.get("TEXTREC_DATA"):
        places.insert(0, Path(home) / name)
    for place in places[:-1] if name in CATALOGUE else places:
        if place.is_dir():
            return place
    if name in CATALOGUE:
        return fetch(name)
    unset = "" if home else " (and TEXTREC_DATA is not set)"
    looked = ", ".join(str(place) for place in [path, *places])
    known = ", ".join([*CATALOGUE, "sample"])
    raise DataError(f"found no data {name!r}: looked for the folders {looked}{unset}; pass a folder or one of {known}")


def _table(folder: Path, stem: str) -> Path:
    found = sorted(path for path in folder.glob(f"{stem}.*") if path.name.split(".")[0] == stem and path.is_file())
    readable = [path for path in found if suffix_of(path)]
    if len(readable) == 1:
        return readable[0]
    if readable:
        listed = ", ".join(path.name for path in readable)
        raise DataError(Problem(f"several {stem} tables: {listed}; keep one, or name it with {stem}=", str(folder)))
    seen = f" (found {', '.join(path.name for path in found)}, an unknown format)" if found else ""
    allowed = ", ".join(f"{stem}{suffix}" for suffix in SUFFIXES)
    said = f"no users.dat and no {stem} table{seen}; add one of {allowed}"
    raise DataError(Problem(said, str(folder)))
