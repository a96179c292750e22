"""Recomputes the metrics of a run from its top lists, without the models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from textrec.errors import DataError, Problem
from textrec.protocol.folds import Fold
from textrec.protocol.metrics import RECALL_AT
from textrec.study.cells import Cell
from textrec.study.runner import TOP_LENGTH, Runner
from textrec.study.store import Record, Run

__all__ = ["Check", "verify"]

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Check:
    """One cell, recomputed."""

    cell: str
    figures: dict[str, float]  # metric → value from the top lists
    wrong: dict[str, float]  # metric → stored value, where the two differ


def verify(folder: Path) -> Iterator[Check]:
    """Recall@M, NDCG@50 and HR@10 of every cell that has top lists, from those and the saved folds alone.

    The formulas are written out here once more, as a twin of `protocol.metrics`.

    Raises:
        DataError: no run folder, no top lists, or a list with an item that is no candidate.
    """
    run = Run(folder)
    runner = Runner(run)
    records = [record for record in run.records() if record["status"] == "done"]
    kept = [record for record in records if run.tops_path(_cell(record).name).is_file()]
    if not kept:
        said = "there are no top lists to verify; `textrec experiment … --keep-top` keeps them"
        raise DataError(Problem(said, str(folder)))
    for record in kept:
        yield _checked(record, runner, run)


def _checked(record: Record, runner: Runner, run: Run) -> Check:
    cell = _cell(record)
    fold = runner.fold(cell)
    found = _from_lists(run.tops_path(cell.name), fold)
    stored = record["figures"]
    wrong = {name: stored[name] for name, value in found.items() if abs(stored[name] - value) > TOLERANCE}
    return Check(cell.name, found, wrong)


def _from_lists(path: Path, fold: Fold) -> dict[str, float]:
    tops = pl.read_parquet(path)
    column = fold.candidates.ids.rows(tops["item"].to_list())
    if (column < 0).any():
        item = tops["item"][int(np.flatnonzero(column < 0)[0])]
        raise DataError(Problem(f"item {item!r} is no candidate of the fold", str(path)))
    likes = np.diff(fold.test_likes.indptr)
    users, ranks = tops["user"].to_numpy().astype(np.int64), tops["rank"].to_numpy().astype(np.int64)
    n_candidates = len(fold.candidates)
    wanted = np.repeat(np.arange(len(likes)), likes) * n_candidates + fold.test_likes.indices
    hit = np.isin(users * n_candidates + column, wanted)
    users, ranks = users[hit], ranks[hit]
    tested = np.flatnonzero(likes)

    def mean(values: npt.NDArray[np.float64], per: npt.NDArray[np.float64]) -> float:
        """Of the sums of each tested user, over what each could have."""
        return float((np.bincount(users, values, len(likes))[tested] / per).mean())

    found = {
        f"recall@{m}": mean((ranks <= m).astype(float), likes[tested].astype(float))
        for m in RECALL_AT
        if m <= TOP_LENGTH
    }
    ideal = np.array([sum(1 / np.log2(1 + rank) for rank in range(1, min(count, 50) + 1)) for count in likes[tested]])
    found["ndcg@50"] = mean(np.where(ranks <= 50, 1 / np.log2(1 + ranks), 0.0), ideal)
    found["hr@10"] = mean(np.where(ranks <= 10, 1 / ranks, 0.0), np.ones(len(tested)))
    return found


def _cell(record: Record) -> Cell:
    return Cell(**record["cell"])
