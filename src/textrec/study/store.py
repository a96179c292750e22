"""A run folder: one result file a cell, each written whole or not at all, and how the run was made.

    run.json                  format, specification, and each session: versions, machine, commit
    folds/<split>.json        the folds (`textrec split` writes the same)
    cells/<cell>.json         what was run, the figures, curves and groups; or the error
    cells/<cell>.parquet      the metrics of each user
    tops/<cell>.parquet       the top lists, when they are kept

A cell counts as done when its JSON file says so; it is written last.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from textrec.errors import DataError, Problem
from textrec.study.cells import Cell
from textrec.study.evaluation import machine, versions
from textrec.study.grid import Spec

__all__ = ["FORMAT", "Record", "Run", "commit", "provenance", "write_atomically"]

FORMAT = 1
STALE_SECONDS = 600
Record = dict[str, Any]
"""What the JSON file of a cell holds."""


class Run:
    """The folder of one run.

    Args:
        folder: where it is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest_path = folder / "run.json"

    def open(self, spec: Spec) -> None:
        """Make the folder or go on in it, and note this session in the manifest.

        Raises:
            DataError: the folder holds something else, or the run of a newer textrec.
        """
        if self.folder.exists() and not self.manifest_path.is_file() and any(self.folder.iterdir()):
            said = "exists and is no run folder; choose another place for --out"
            raise DataError(Problem(said, str(self.folder)))
        for name in ("cells", "folds"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._sweep()
        sessions = self.manifest()["sessions"] if self.manifest_path.is_file() else []
        session = {"started": datetime.now(UTC).isoformat(timespec="seconds"), **provenance()}
        manifest = {
            "format": FORMAT,
            "name": spec.name,
            "summary": spec.summary,
            "baselines": list(spec.baselines),
            "cells": [cell.name for cell in spec.cells()],
            "grid": [block.to_dict() for block in spec.grid],
            "sessions": [*sessions, session],
        }
        self._write_json(self.manifest_path, manifest)

    def _sweep(self) -> None:
        """Remove what killed sessions were writing; young files may be those of a session that still runs."""
        old = time.time() - STALE_SECONDS
        for path in self.folder.rglob(".*"):
            if path.is_file() and path.stat().st_mtime < old:
                path.unlink(missing_ok=True)

    def manifest(self) -> Record:
        """How the run was made.

        Raises:
            DataError: no run folder, damaged, or of a newer textrec.
        """
        if not self.manifest_path.is_file():
            said = "no run folder (it has no run.json); `textrec experiment SPEC --out FOLDER` makes one"
            raise DataError(Problem(said, str(self.folder)))
        found = _read_json(self.manifest_path)
        if not isinstance(found.get("format"), int) or found["format"] > FORMAT:
            said = f"format {found.get('format')!r}, and this textrec reads formats up to {FORMAT}; install a newer one"
            raise DataError(Problem(said, str(self.manifest_path)))
        return found

    def split_path(self, cell: Cell) -> Path:
        """The file of the folds that a cell is one of."""
        return self.folder / "folds" / f"{cell.split_name}.json"

    def record(self, cell: Cell) -> Record | None:
        """What is stored for a cell; None when there is nothing, or it was run with another configuration."""
        path = self._cell_path(cell.name)
        if not path.is_file():
            return None
        found = _read_json(path)
        return found if cell.same_as(found.get("cell", {})) else None

    def is_done(self, cell: Cell) -> bool:
        """Whether the figures of a cell are there."""
        found = self.record(cell)
        return found is not None and found["status"] == "done"

    def records(self) -> list[Record]:
        """The cells of the manifest that have a file, done or failed, in its order."""
        paths = [self._cell_path(name) for name in self.manifest()["cells"]]
        return [_read_json(path) for path in paths if path.is_file()]

    def every_record(self) -> Iterator[tuple[str, Record]]:
        """Name and content of every result file, whether the manifest names it or not."""
        for path in sorted((self.folder / "cells").glob("*.json")):
            yield path.stem, _read_json(path)

    def discard_stale(self, cell: Cell) -> None:
        """Remove a result that was made under this name with another configuration."""
        if self._cell_path(cell.name).is_file() and self.record(cell) is None:
            for path in (self._cell_path(cell.name), self.users_path(cell.name), self.tops_path(cell.name)):
                path.unlink(missing_ok=True)

    def write(self, cell: Cell, content: Mapping[str, Any], users: pl.DataFrame) -> None:
        """Keep the result of a cell, the metrics of its users first."""
        small = users.with_columns(pl.col(pl.Float64).cast(pl.Float32), pl.col(pl.Int64).cast(pl.Int32))
        self._write_frame(self.users_path(cell.name), small)
        self._write_cell(cell, {"status": "done", **content})

    def write_failure(self, cell: Cell, error: str, **more: Any) -> None:
        """Keep the error of a cell."""
        self._write_cell(cell, {"status": "failed", "error": error, **more})

    def write_tops(self, cell: Cell, tops: pl.DataFrame) -> None:
        """Keep the top lists of a cell."""
        self.tops_path(cell.name).parent.mkdir(exist_ok=True)
        self._write_frame(self.tops_path(cell.name), tops)

    def users(self, name: str) -> pl.DataFrame:
        """The metrics of each user of a cell."""
        return pl.read_parquet(self.users_path(name))

    def users_path(self, name: str) -> Path:
        """Where they are."""
        return self.folder / "cells" / f"{name}.parquet"

    def tops_path(self, name: str) -> Path:
        """Where the top lists of a cell are, if they were kept."""
        return self.folder / "tops" / f"{name}.parquet"

    def _cell_path(self, name: str) -> Path:
        return self.folder / "cells" / f"{name}.json"

    def _write_cell(self, cell: Cell, content: Record) -> None:
        self._write_json(self._cell_path(cell.name), {"format": FORMAT, "cell": cell.to_dict(), **content})

    def _write_json(self, path: Path, content: Record) -> None:
        lines = [
            f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
            for key, value in content.items()
        ]
        text = "{\n" + ",\n".join(lines) + "\n}\n"  # a line a key: short files that can be compared
        write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))

    def _write_frame(self, path: Path, frame: pl.DataFrame) -> None:
        write_atomically(path, lambda place: frame.write_parquet(place, compression="zstd", compression_level=19))


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then give it that name: readers see the old or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    place = Path(name)
    try:
        write(place)
        with place.open("rb") as file:
            os.fsync(file.fileno())
        place.chmod(0o644)  # temporary files are private, results are not
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)


def provenance() -> Record:
    """Versions, machine and commit of this process."""
    return {"versions": versions(), "machine": machine(), "commit": commit()}


def commit() -> str | None:
    """The git commit of textrec's sources, with a + when they were changed since; None outside of a checkout."""
    here = Path(__file__).parent
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10).stdout
            for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--", "../.."])
        )
        tracked = subprocess.run(["git", "ls-files", Path(__file__).name], cwd=here, capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    if not tracked.stdout:
        return None  # installed inside somebody else's checkout
    return head.strip() + ("+" if changes.strip() else "")


def _read_json(path: Path) -> Record:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(Problem(f"damaged ({error}); delete it and run the experiment again", str(path))) from None
    if not isinstance(found, dict):
        raise DataError(Problem("damaged (no JSON object); delete it and run the experiment again", str(path)))
    return found
