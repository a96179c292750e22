"""Results that exist already: of another run, or of `textrec evaluate`, become cells and are not computed again.

Only equal cells are taken: the same data, setting, candidates, seed, fold and configuration.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from textrec.errors import ArgumentError
from textrec.protocol.metrics import RECALL_AT
from textrec.study.cells import Cell
from textrec.study.store import Record, Run

__all__ = ["adopt"]

Take = Callable[[Cell, Run], None]


def adopt(cells: Sequence[Cell], run: Run, source: Path) -> list[str]:
    """Take over what `source` has of the cells that are not done.

    Args:
        cells: of the experiment.
        run: where they go, opened.
        source: another run folder; or a folder of `textrec evaluate --json` files, each beside a Parquet file of the
            same name with the metrics of its users (`Evaluation.per_user`). Those were filtered and dealt by default.

    Returns:
        The names of the cells taken.

    Raises:
        ArgumentError: nothing of the kind is there.
        DataError: a damaged file in a run folder.
    """
    stored = list(_of_run(source) if (source / "run.json").is_file() else _of_evaluations(source))
    if not stored:
        said = "a run folder or a folder of `textrec evaluate --json` files with their Parquet files"
        raise ArgumentError(f"adopt must be {said}, got {str(source)!r}")
    taken = []
    for cell in cells:
        if run.is_done(cell):
            continue
        for record, take in stored:
            if cell.same_as(record["cell"]):
                take(cell, run)
                taken.append(cell.name)
                break
    return taken


def _of_run(source: Path) -> Iterator[tuple[Record, Take]]:
    other = Run(source)
    for name, record in other.every_record():
        if record["status"] == "done":
            yield record, _copier(other, name, record)


def _copier(other: Run, name: str, record: Record) -> Take:
    def take(cell: Cell, run: Run) -> None:
        if other.tops_path(name).is_file():
            run.tops_path(cell.name).parent.mkdir(exist_ok=True)
            shutil.copyfile(other.tops_path(name), run.tops_path(cell.name))
        content = {key: value for key, value in record.items() if key not in ("format", "cell", "status")}
        run.write(cell, content, other.users(name))

    return take


def _of_evaluations(source: Path) -> Iterator[tuple[Record, Take]]:
    for path in sorted(source.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not {"data", "model", "folds", "config"} <= found.keys():
            continue
        if path.with_suffix(".parquet").is_file() and found["setting"] != "time":
            for row in found["folds"]:
                yield {"cell": _cell_of(found, row["fold"])}, _splitter(path, found, row)


def _cell_of(found: Record, fold: int) -> Record:
    same = ("data", "setting", "model", "seed", "config", "candidates", "transductive")
    return {"fold": fold, **{name: found[name] for name in same}}  # all else by default


def _splitter(path: Path, found: Record, row: dict[str, Any]) -> Take:
    def take(cell: Cell, run: Run) -> None:
        users = pl.read_parquet(path.with_suffix(".parquet")).filter(pl.col("fold") == row["fold"])
        at = [m for m in RECALL_AT if m <= max(row["candidates"], 1)]
        curves = {"m": at, "recall": [round(row[f"recall@{m}"], 6) for m in at], "ndcg": []}
        content = {
            "figures": row,
            "curves": curves,
            "groups": {},
            "adopted": path.name,
            **{name: found[name] for name in ("versions", "machine")},
            "commit": None,
        }
        run.write(cell, content, users)

    return take
