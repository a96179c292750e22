"""Nearly the highest dot products of one query at a time: candidates are points of a graph (HNSW, usearch).

Its edges follow the dot product itself (Morozov and Babenko 2018), which on vectors of CiteULike-a finds 0.997 of the
best 50. Where that does not find enough, each vector gets one more dimension that makes all of them equally long: the
cosine to (u, 0) then orders candidates as the dot product with u does (Bachrach et al. 2014).

How far a search goes is measured, not guessed: effort is raised until the wanted share of the exact lists of sample
queries is found, with what those may not be shown left out.

Shapes: `Q` queries, `C` candidates, `K` factors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Csr, Rows
from textrec.errors import MissingExtraError
from textrec.retrieval.cells import RECALL
from textrec.retrieval.top_products import best, top_products

__all__ = ["Graph"]

FloatArray = npt.NDArray[np.float32]

QUERIES = 200
"""Of the sample, that effort is chosen by."""

EFFORTS = (64, 128, 256, 512, 1024, 2048)

FIRST = 20_000
"""Points that are added one by one, in a few seconds, before threads add the others: with 8 threads a graph of 4,000
points of which 3,000 were added at once found between 0.977 and 1.0 of the neighbours, added one by one always 1.0."""

SPARE = 2
"""The graph is asked for this many times the candidates wanted, which are then scored exactly."""


class Graph:
    """Candidates as points of a graph.

    Args:
        candidates: float32 [C, K].
        queries: a sample of those to come, float32 [Q, K].
        k: length of the lists to come.
        seen: CSR [Q, C] of what the sample may not be shown, or None.

    Attributes:
        recall: share of the sample's exact lists that is found.
        worthwhile: whether recall is what is wanted; the vectors may have no neighbourhoods a graph could follow.

    Raises:
        MissingExtraError: without usearch.
    """

    def __init__(self, candidates: FloatArray, queries: FloatArray, k: int, *, seen: Csr = None) -> None:
        try:
            from usearch.index import Index
        except ImportError:
            raise MissingExtraError("usearch", "serve") from None
        self._candidates = candidates
        some, known = queries[:QUERIES], None if seen is None else seen[:QUERIES]
        truth, _ = top_products(some, candidates, k, seen=known)
        squares = np.einsum("ij,ij->i", candidates, candidates)
        rest = np.sqrt(np.maximum(squares.max(initial=0) - squares, 0))
        for metric, points in (("ip", candidates), ("cos", np.column_stack([candidates, rest]))):
            self._points = points  # the graph reads them where they are
            self._graph: Any = Index(
                ndim=points.shape[1], metric=metric, dtype="f32", connectivity=32, expansion_add=128
            )
            for part, threads in ((slice(0, FIRST), 1), (slice(FIRST, None), 0)):
                keys = np.arange(len(points))[part]
                if len(keys):
                    self._graph.add(keys, points[part], copy=False, threads=threads)
            for effort in EFFORTS:
                self._graph.expansion_search = effort
                self.recall = _recall(self.search(some, k, seen=known)[0], truth)
                if self.recall >= RECALL:
                    self.worthwhile = True
                    return
        self.worthwhile = False

    def search(self, queries: FloatArray, k: int, *, seen: Csr = None) -> tuple[Rows, FloatArray]:
        """Nearly the best candidates.

        Args:
            queries: float32 [Q, K].
            k: how many, ≥ 1.
            seen: CSR [Q, C] of what may not be returned, or None.

        Returns:
            Rows int64 and scores float32, both [Q, min(k, C)], best first; −1 and −inf where there are no more.
        """
        found = [self._one(query, k, None if seen is None else seen[[row]]) for row, query in enumerate(queries)]
        width = min(k, len(self._candidates))
        rows = np.stack([rows for rows, _ in found]) if found else np.empty((0, width), np.int64)
        return rows, np.stack([scores for _, scores in found]) if found else np.empty((0, width), np.float32)

    def _one(self, query: FloatArray, k: int, seen: Csr) -> tuple[Rows, FloatArray]:
        count = SPARE * k + (0 if seen is None else seen.nnz)
        rows = np.empty(0, np.int64)
        if count <= len(self._candidates) // 2:
            point = np.zeros(self._graph.ndim, np.float32)
            point[: len(query)] = query
            rows = np.asarray(self._graph.search(point, count, threads=1).keys).astype(np.int64)
        if seen is not None:
            rows = rows[~np.isin(rows, seen.indices)]
        if len(rows) < k:  # there is hardly more to find than is wanted
            exact, values = top_products(query[None], self._candidates, k, seen=seen)
            return exact[0], values[0]
        rows = np.sort(rows)  # so that ties go to the lower row
        scores = self._candidates[rows] @ query
        order = best(scores, k)
        return rows[order], scores[order]


def _recall(found: Rows, truth: Rows) -> float:
    """Share of the rows of `truth` [Q, k] that are in `found` [Q, k]; −1 stands for none."""
    hits = sum(len(np.intersect1d(one, all_[all_ >= 0])) for one, all_ in zip(found, truth, strict=True))
    return hits / max(int((truth >= 0).sum()), 1)
