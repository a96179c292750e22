"""Nearly the highest dot products of thousands of queries: candidates stand in cells, a query looks into a few of them.

An inverted file (Sivic, Zisserman 2003) that is searched in tiles. k-means puts candidates that point the same way, and
are about as long, into one cell; a query looks into the cells whose centres have the highest dot products with it. All
queries of a call that look into a cell are multiplied with it at once.

How many cells are looked into is measured, not guessed: as many as hold the wanted share of the exact lists of sample
queries, with what those may not be shown left out.

Shapes: `Q` queries, `C` candidates, `K` factors, `N` cells, `P` cells looked into.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from textrec.dataset import Csr, Rows
from textrec.errors import ArgumentError
from textrec.retrieval.top_products import merged, pairs_of, top_products

__all__ = ["RECALL", "Cells"]

FloatArray = npt.NDArray[np.float32]

RECALL = 0.99
"""Share of the exact lists that must be found, on the sample."""

ROUNDS, POINTS_A_CELL = 8, 64
"""Of k-means, and how many candidates it sees for each cell."""

ROWS_AT_ONCE = 1 << 12
"""Candidates that are compared with all centres at once."""

FIRST = 2
"""Cells every query looks into before the others: after them hardly any candidate passes."""

WORTH = 1 / 3
"""Above this share of the cells exact search is no slower."""


class Cells:
    """Candidates in cells.

    Args:
        candidates: float32 [C, K].
        queries: a sample of those to come, float32 [Q, K].
        k: length of the lists to come.
        seen: CSR [Q, C] of what the sample may not be shown, or None.
        seed: of k-means.

    Attributes:
        probes: P.
        recall: share of the sample's exact lists that P cells hold.
        worthwhile: whether P is small enough to be faster than exact search.
    """

    def __init__(self, candidates: FloatArray, queries: FloatArray, k: int, *, seen: Csr = None, seed: int = 0) -> None:
        if len(candidates) == 0 or len(queries) == 0:
            raise ArgumentError("cells need at least one candidate and one query")
        n_cells = max(1, min(int(2 * np.sqrt(len(candidates))), len(candidates) // 8))
        self.centres = _k_means(candidates, n_cells, np.random.default_rng(seed))
        cell = _nearest(candidates, self.centres)
        self._rows = np.argsort(cell, kind="stable")  # [C] the candidate at each place; a cell's places are adjacent
        self._starts = np.searchsorted(cell[self._rows], np.arange(n_cells + 1))
        self._place = np.empty(len(candidates), np.int64)
        self._place[self._rows] = np.arange(len(candidates))
        self._candidates, self._sorted = candidates, candidates[self._rows]
        truth, _ = top_products(queries, candidates, k, seen=seen)
        ranks = np.argsort(np.argsort(-(queries @ self.centres.T), axis=1), axis=1)  # [Q, N] of each cell
        needed = np.sort(np.take_along_axis(ranks, cell[truth], axis=1)[truth >= 0])
        self.probes = int(needed[int(np.ceil(RECALL * len(needed))) - 1]) + 1 if len(needed) else 1
        self.recall = float((needed < self.probes).mean()) if len(needed) else 1.0
        self.worthwhile = self.probes <= WORTH * n_cells

    def search(self, queries: FloatArray, k: int, *, seen: Csr = None) -> tuple[Rows, FloatArray]:
        """Nearly the best candidates.

        Args:
            queries: float32 [Q, K]; thousands at once are searched best.
            k: how many, ≥ 1.
            seen: CSR [Q, C] of what may not be returned, or None.

        Returns:
            Rows int64 and scores float32, both [Q, min(k, C)], best first; −1 and −inf where there are no more.
        """
        width = min(k, len(self._rows))
        places = np.full((len(queries), width), -1, np.int64)
        scores = np.full((len(queries), width), -np.inf, np.float32)
        near = -(queries @ self.centres.T)
        first, last = min(FIRST, self.probes), min(self.probes, near.shape[1])
        cells = np.argpartition(near, sorted({first - 1, last - 1}), axis=1)[:, :last]
        banned = None if seen is None else self._banned(seen)
        places, scores = self._look(queries, cells[:, :first], places, scores, banned)
        if last > first:
            places, scores = self._look(queries, cells[:, first:], places, scores, banned)
        rows = np.where(places >= 0, self._rows[places], -1)
        short = np.flatnonzero(rows[:, -1] < 0)  # the cells held too few, or there are no more
        if len(short):
            some = None if seen is None else seen[short]
            rows[short], scores[short] = top_products(queries[short], self._candidates, width, seen=some)
        return rows, scores

    def _banned(self, seen: Csr) -> tuple[Rows, Rows, Rows]:
        """Query and place of each pair that may not be returned, by place, and where each cell's begin [N + 1]."""
        query, row = pairs_of(seen)
        place = self._place[row]
        order = np.argsort(place, kind="stable")
        return query[order], place[order], np.searchsorted(place[order], self._starts)

    def _look(
        self,
        queries: FloatArray,
        cells: Rows,
        places: Rows,
        best: FloatArray,
        banned: tuple[Rows, Rows, Rows] | None,
    ) -> tuple[Rows, FloatArray]:
        """The lists [Q, k] once every query has looked into its cells [Q, P] as well."""
        order = np.argsort(cells.ravel(), kind="stable")
        asking = order // cells.shape[1]  # queries, by cell
        visited, begins = np.unique(cells.ravel()[order], return_index=True)
        rows, columns, values = [asking[:0]], [asking[:0]], [best[:0, 0]]
        for cell, who in zip(visited.tolist(), np.split(asking, begins[1:]), strict=True):
            start, stop = self._starts[cell], self._starts[cell + 1]
            scores = queries[who] @ self._sorted[start:stop].T
            if banned is not None:
                _bar(scores, who, banned, cell, start)
            bar = best[who, -1:]
            if scores.shape[1] > best.shape[1]:  # no more than k of a cell can be in a list
                fresh = np.flatnonzero(np.isneginf(bar[:, 0]))
                bar[fresh, 0] = np.partition(scores[fresh], -best.shape[1] - 1, axis=1)[:, -best.shape[1] - 1]
            passing = np.flatnonzero(scores > bar)
            row, place = np.divmod(passing, max(scores.shape[1], 1))
            rows.append(who[row])
            columns.append(start + place)
            values.append(scores.ravel()[passing])
        return merged(places, best, np.concatenate(rows), np.concatenate(columns), np.concatenate(values))


def _bar(scores: FloatArray, who: Rows, banned: tuple[Rows, Rows, Rows], cell: int, start: int) -> None:
    """Set the scores of what may not be returned to −inf; `who` [n] asks for the cell, scores are [n, its places]."""
    query, place, begins = banned
    span = slice(begins[cell], begins[cell + 1])
    at = np.minimum(np.searchsorted(who, query[span]), len(who) - 1)
    asks = who[at] == query[span]
    scores[at[asks], place[span][asks] - start] = -np.inf


def _k_means(points: FloatArray, n_cells: int, rng: np.random.Generator) -> FloatArray:
    """Centres [N, K] of a sample of the points; a cell that runs empty keeps its centre."""
    sample = points[np.sort(rng.permutation(len(points))[: POINTS_A_CELL * n_cells])]
    centres = sample[np.sort(rng.permutation(len(sample))[:n_cells])].copy()
    for _ in range(ROUNDS):
        cell = _nearest(sample, centres)
        order = np.argsort(cell, kind="stable")
        full, begins = np.unique(cell[order], return_index=True)
        sums = np.add.reduceat(sample[order], begins, axis=0)
        centres[full] = sums / np.diff(begins, append=len(cell))[:, None]
    return centres


def _nearest(points: FloatArray, centres: FloatArray) -> Rows:
    """The centre nearest to each point, by distance [C]."""
    nearest = np.empty(len(points), np.int64)
    halves = np.einsum("ij,ij->i", centres, centres) / 2
    for start in range(0, len(points), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        nearest[part] = np.argmax(points[part] @ centres.T - halves, axis=1)
    return nearest
