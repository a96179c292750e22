"""The best items for one user fast: exact dot products, or an approximate index when the catalogue is large.

The index is a graph over the item vectors (HNSW, usearch). Its edges follow the dot product itself (Morozov and Babenko
2018): on vectors of CiteULike-a that finds 0.998 of the best 50. Where it does not find enough, such as among vectors
that point everywhere alike, each vector gets one more dimension that makes all of them equally long: the cosine to
(u, 0) then orders items as the dot product with u does (Bachrach et al. 2014); on CiteULike-a that finds 0.880 with the
same effort. What the graph finds is scored exactly again.

Nobody needs to trust the graph: when it is built, its effort is raised until recall against exact search is at least
`RECALL` on queries like those it will get, and where that cannot be reached search stays exact.

Shapes: `I` items, `K` factors, `Q` queries.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Rows
from textrec.errors import ArgumentError, MissingExtraError

__all__ = ["APPROXIMATE_ABOVE", "RECALL", "ItemIndex", "best"]

FloatArray = npt.NDArray[np.float32]

APPROXIMATE_ABOVE = 200_000
"""Items from which on the graph is worth its building: exact search takes about 20 ms there (K = 200, one core)."""

RECALL, RECALL_AT = 0.99, 50
"""Calibration goes on until this recall at 50 is reached, a little above the 0.98 that is promised."""

QUERIES = 200
EFFORTS = (64, 128, 256, 512, 1024, 2048)
FIRST = 20_000
"""Points that are added one by one, in a few seconds, before threads add the others: with 8 threads a graph of 4,000
points of which 3,000 were added at once found between 0.977 and 1.0 of the neighbours, added one by one always 1.0."""

SPARE = 2
"""The graph is asked for this many times the items wanted, which are then scored exactly."""


def best(scores: FloatArray, k: int) -> Rows:
    """Places of the k highest scores, best first, ties by lower place; −inf is never returned.

    The same order as `protocol.ranking.top_k`, for one list and several times faster.

    Args:
        scores: float32 [I], without NaN.
        k: at least 1.
    """
    if k < len(scores):
        bound = np.partition(scores, len(scores) - k)[len(scores) - k]
        near = np.flatnonzero(scores >= bound) if bound > -np.inf else np.flatnonzero(scores > bound)
    else:
        near = np.flatnonzero(scores > -np.inf)
    order = np.argsort(-scores[near], kind="stable")[:k]
    return near[order].astype(np.int64)


class ItemIndex:
    """Search by dot product over fixed item vectors.

    Args:
        vectors: float32 [I, K].
        approximate: True: build the graph; False: stay exact; None: build it above `APPROXIMATE_ABOVE` items, if
            usearch is there.
        queries: vectors like those to be searched with [Q, K], to calibrate with; None takes the items' own.
        seed: of the choice among them.

    Raises:
        ArgumentError: `vectors` is not a matrix of finite numbers.
        MissingExtraError: `approximate` without usearch.
    """

    def __init__(
        self,
        vectors: FloatArray,
        *,
        approximate: bool | None = None,
        queries: FloatArray | None = None,
        seed: int = 0,
    ) -> None:
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ArgumentError(f"vectors must be a matrix of finite numbers, got shape {vectors.shape}")
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        self._graph: Any = None
        self._points: FloatArray | None = None
        self.recall = 1.0
        wanted = len(vectors) > APPROXIMATE_ABOVE if approximate is None else approximate
        if wanted and len(vectors):
            self._build(queries if queries is not None and len(queries) else self.vectors, seed, approximate is None)

    @property
    def approximate(self) -> bool:
        """Whether the graph is used."""
        return self._graph is not None

    def search(self, query: FloatArray, k: int, *, banned: Rows | None = None) -> tuple[Rows, FloatArray]:
        """The best items.

        Args:
            query: float32 [K].
            k: how many, ≥ 1.
            banned: rows that may not be returned.

        Returns:
            Rows and scores, best first; fewer than k when there are no more.
        """
        if k < 1:
            raise ArgumentError(f"k must be at least 1, got {k}")
        size = 0 if banned is None else len(banned)
        if self._graph is None or SPARE * k + size > len(self.vectors) // 2:
            return self._exact(query, k, banned)
        rows = self._near(query, SPARE * k + size)
        if banned is not None:
            rows = rows[~np.isin(rows, banned)]
        rows = np.sort(rows)  # so that ties go to the lower row
        scores = self.vectors[rows] @ query
        order = best(scores, k)
        return rows[order], scores[order]

    def _exact(self, query: FloatArray, k: int, banned: Rows | None = None) -> tuple[Rows, FloatArray]:
        scores = self.vectors @ np.asarray(query, np.float32)
        if banned is not None:
            scores[banned] = -np.inf
        rows = best(scores, k)
        return rows, scores[rows]

    def _near(self, query: FloatArray, count: int) -> Rows:
        point = np.zeros(self._graph.ndim, np.float32)
        point[: len(query)] = query
        found = self._graph.search(point, count, threads=1)
        return np.asarray(found.keys).astype(np.int64)

    def _build(self, queries: FloatArray, seed: int, silently: bool) -> None:
        try:
            from usearch.index import Index
        except ImportError:
            if silently:
                return
            raise MissingExtraError("usearch", "serve") from None
        chosen = queries[np.random.default_rng(seed).permutation(len(queries))[:QUERIES]]
        truth = [self._exact(query, RECALL_AT)[0] for query in chosen]
        squares = np.einsum("ij,ij->i", self.vectors, self.vectors)
        rest = np.sqrt(np.maximum(squares.max(initial=0) - squares, 0))
        for metric, points in (("ip", self.vectors), ("cos", np.column_stack([self.vectors, rest]))):
            size = points.shape[1]
            self._graph = Index(ndim=size, metric=metric, dtype="f32", connectivity=32, expansion_add=128)
            # added at once by several threads, the first points can miss each other, and the graph falls into parts
            for part, threads in ((slice(0, FIRST), 1), (slice(FIRST, None), 0)):
                keys = np.arange(len(points))[part]
                if len(keys):
                    self._graph.add(keys, points[part], copy=False, threads=threads)
            self._points = points  # the graph reads them where they are
            for effort in EFFORTS:
                self._graph.expansion_search = effort
                found = [self._recall(query, rows) for query, rows in zip(chosen, truth, strict=True)]
                self.recall = float(np.mean(found))
                if self.recall >= RECALL:
                    return
        # such vectors have no neighbourhoods a graph could follow
        self._graph, self._points, self.recall = None, None, 1.0

    def _recall(self, query: FloatArray, truth: Rows) -> float:
        return len(np.intersect1d(self.search(query, RECALL_AT)[0], truth)) / len(truth)
