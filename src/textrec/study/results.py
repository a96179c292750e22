"""The results of a run: cells gathered into rows (a model over folds and seeds) and panels (what may be compared).

Shapes: `n` users.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from textrec.protocol.metrics import paired_test
from textrec.study.cells import Cell
from textrec.study.store import Record, Run

__all__ = ["Comparison", "Panel", "Results", "Row", "compare", "holm", "load_results"]

BASELINES = ("popularity", "tfidf", "tfidf-knn", "ease", "als", "text-als", "lda", "ctr", "ctr-mtl")
"""What a report tests the other models against, unless the specification names its own."""

SMALL_POOL = 1000
"""With fewer candidates Recall@50 says little, and Recall@10 is the headline."""


@dataclass(frozen=True, eq=False)
class Row:
    """A model, with its variant, on one data set and setting."""

    run: Run
    cells: tuple[Cell, ...]
    records: tuple[Record, ...]

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.cells[0].model

    @property
    def label(self) -> str:
        """What to call it: `embed-mtl (tagger)`."""
        cell = self.cells[0]
        return f"{cell.model} ({', '.join(cell.notes)})" if cell.notes else cell.model

    @cached_property
    def folds(self) -> frozenset[tuple[int, int]]:
        """Seed and fold of each cell."""
        return frozenset((cell.seed, cell.fold) for cell in self.cells)

    def values(self, metric: str) -> list[float]:
        """A metric of each fold, the mean over its seeds; folds without it are left out."""
        found: dict[int, list[float]] = {}
        for cell, record in zip(self.cells, self.records, strict=True):
            if record["figures"].get(metric) is not None:
                found.setdefault(cell.fold, []).append(record["figures"][metric])
        return [float(np.mean(found[fold])) for fold in sorted(found)]

    def mean(self, metric: str) -> float | None:
        """Mean of the folds."""
        values = self.values(metric)
        return float(np.mean(values)) if values else None

    def sd(self, metric: str) -> float | None:
        """Sample standard deviation over the folds; None below two."""
        values = self.values(metric)
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def curve(self, kind: str) -> tuple[list[int], list[float]]:
        """Mean over the cells of `recall` or `ndcg` at each M that all of them have; empty where one has none."""
        parts = [dict(zip(r["curves"]["m"], r["curves"][kind], strict=False)) for r in self.records]
        common = sorted(set.intersection(*(set(part) for part in parts)))
        return common, [float(np.mean([part[m] for part in parts])) for m in common]

    def groups(self, kind: str, metric: str) -> dict[str, float]:
        """Recall by group of `activity`, `popularity` or `length`; empty where results have no groups.

        Cells are weighted by their counts. The metric `count` gives the sizes, summed over the cells.
        """
        sums: dict[str, float] = {}
        counts: dict[str, float] = {}
        for record in self.records:
            for entry in record["groups"].get(kind, []):
                group, count = entry["group"], entry["count"]
                counts[group] = counts.get(group, 0) + count
                sums[group] = sums.get(group, 0) + count * (1 if metric == "count" else entry[metric])
        ordered = sorted(sums, key=lambda group: int(group.replace("–", " ").replace("≥", "").split()[0]))
        return {group: sums[group] / (1 if metric == "count" else counts[group]) for group in ordered}

    def users(self, metric: str, folds: Iterable[tuple[int, int]]) -> pl.DataFrame:
        """`user, value`: each user's mean over the given folds, by user row."""
        wanted = set(folds)
        names = [cell.name for cell in self.cells if (cell.seed, cell.fold) in wanted]
        frame = pl.concat([self.run.users(name).select("user", metric) for name in names])
        return frame.group_by("user").agg(pl.col(metric).cast(pl.Float64).mean().alias("value")).sort("user")


@dataclass(frozen=True, eq=False)
class Panel:
    """Rows that rank the same candidates for the same users."""

    data: str
    setting: str
    candidates: str
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """`citeulike-t, cold, all papers`."""
        pool = ", all papers" if self.candidates == "all" else ""
        return f"{self.data}, {self.setting}{pool}"

    @property
    def name(self) -> str:
        """For file names."""
        return self.title.replace(", ", "-").replace(" ", "-")

    @cached_property
    def pool(self) -> float:
        """Candidates of a fold, on average."""
        return float(np.mean([row.mean("candidates") for row in self.rows]))

    @property
    def headline(self) -> str:
        """The metric that the rows are compared by."""
        return "recall@10" if self.pool < SMALL_POOL else "recall@50"

    @property
    def ranked(self) -> list[Row]:
        """The rows, best first."""
        return sorted(self.rows, key=lambda row: -(row.mean(self.headline) or 0.0))


@dataclass(frozen=True, eq=False)
class Results:
    """Everything a run found."""

    name: str
    summary: str
    manifest: Record
    panels: tuple[Panel, ...]
    failures: dict[str, str]
    missing: tuple[str, ...]
    baselines: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A paired bootstrap of two rows over the users both were tested on."""

    difference: float
    low: float
    high: float
    p: float
    users: int


def load_results(folder: str | Path) -> Results:
    """Gather the results of a run folder.

    Raises:
        DataError: no run folder, or damaged files.
    """
    run = Run(Path(folder))
    manifest = run.manifest()
    records = run.records()
    done = [(Cell(**record["cell"]), record) for record in records if record["status"] == "done"]
    failures = {Cell(**r["cell"]).name: str(r["error"]) for r in records if r["status"] != "done"}
    here = {cell.name for cell, _ in done} | set(failures)
    rows: dict[str, list[tuple[Cell, Record]]] = {}
    for cell, record in done:
        rows.setdefault(cell.row_name, []).append((cell, record))
    panels: dict[tuple[str, str, str], list[Row]] = {}
    for pairs in rows.values():
        cell = pairs[0][0]
        key = (cell.data_name, cell.setting, cell.candidates)
        panels.setdefault(key, []).append(Row(run, tuple(c for c, _ in pairs), tuple(r for _, r in pairs)))
    return Results(
        name=manifest["name"],
        summary=manifest["summary"],
        manifest=manifest,
        panels=tuple(Panel(*key, tuple(found)) for key, found in panels.items()),
        failures=failures,
        missing=tuple(name for name in manifest["cells"] if name not in here),
        baselines=tuple(manifest["baselines"]) or BASELINES,
    )


def compare(a: Row, b: Row, metric: str) -> Comparison | None:
    """Whether row A beats row B: a bootstrap over users, each user's mean over the folds that both rows have.

    None when they share no fold.
    """
    folds = a.folds & b.folds
    if not folds:
        return None
    first, second = a.users(metric, folds), b.users(metric, folds)
    both = first.join(second, on="user", how="inner", suffix="_b").sort("user")
    test = paired_test(both["value"], both["value_b"], seed=0)
    return Comparison(test["difference"], test["low"], test["high"], test["p"], int(test["n"]))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for the number of tests (Holm 1979), in the order given.

    The i-th smallest of n is multiplied by `n − i + 1`; none may be below a smaller one's, and none is above 1.
    """
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = [min(1.0, (n - place) * p_values[index]) for place, index in enumerate(order.tolist())]
    adjusted = np.empty(n)
    adjusted[order] = np.maximum.accumulate(scaled) if n else scaled
    result: list[Any] = adjusted.tolist()
    return result
