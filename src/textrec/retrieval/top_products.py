"""The highest dot products of many queries, exactly, tile by tile: no row of scores ever exists whole.

A tile's scores are compared with each query's k-th best so far; after the first tiles hardly any passes, so that nearly
all of the time goes into the products.

Shapes: `Q` queries, `C` candidates, `K` factors, `m` scores that pass.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from textrec.dataset import Csr, Rows
from textrec.errors import ArgumentError

__all__ = ["best", "merged", "pairs_of", "top_products"]

FloatArray = npt.NDArray[np.float32]

TILE_QUERIES, TILE_CANDIDATES = 256, 1 << 13
"""8 MB of scores, which stay near the processor."""


def top_products(queries: FloatArray, candidates: FloatArray, k: int, *, seen: Csr = None) -> tuple[Rows, FloatArray]:
    """The candidates with the highest dot product with each query, ties by lower row.

    The same lists as `protocol.ranking.top_k` over all scores.

    Args:
        queries: float32 [Q, K].
        candidates: float32 [C, K].
        k: how many, ≥ 1.
        seen: CSR [Q, C] of what may not be returned, or None.

    Returns:
        Rows int64 and scores float32, both [Q, min(k, C)], best first; −1 and −inf where there are no more.

    Raises:
        ArgumentError: k below 1.
    """
    if k < 1:
        raise ArgumentError(f"k must be at least 1, got {k}")
    width = min(k, len(candidates))
    columns, scores = np.full((len(queries), width), -1, np.int64), np.full((len(queries), width), -np.inf, np.float32)
    for start in range(0, len(queries), TILE_QUERIES):
        part = slice(start, start + TILE_QUERIES)
        banned = None if seen is None else pairs_of(seen[part])
        columns[part], scores[part] = _top(queries[part], candidates, width, banned)
    return columns, scores


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


def pairs_of(matrix: Csr) -> tuple[Rows, Rows]:
    """Row and column of each entry of a CSR matrix, by column."""
    order = np.argsort(matrix.indices, kind="stable")
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return rows[order], matrix.indices[order].astype(np.int64)


def _top(
    queries: FloatArray, candidates: FloatArray, k: int, banned: tuple[Rows, Rows] | None
) -> tuple[Rows, FloatArray]:
    n = len(queries)
    columns, best = np.full((n, k), -1, np.int64), np.full((n, k), -np.inf, np.float32)
    for first in range(0, len(candidates), TILE_CANDIDATES):
        scores = queries @ candidates[first : first + TILE_CANDIDATES].T
        if banned is not None:
            low, high = np.searchsorted(banned[1], [first, first + TILE_CANDIDATES])
            scores[banned[0][low:high], banned[1][low:high] - first] = -np.inf
        # An equal score in a later tile stands behind those that are there.
        passing = np.flatnonzero(scores > best[:, -1:])
        if first == 0 and k < scores.shape[1]:  # all would pass: the k-th best of the tile bars most of them
            bar = np.partition(scores, -k, axis=1)[:, -k, None]
            passing = np.flatnonzero((scores >= bar) & (scores > -np.inf))
        if len(passing):
            row, place = np.divmod(passing, scores.shape[1])
            columns, best = merged(columns, best, row, first + place, scores.ravel()[passing])
    return columns, best


def merged(columns: Rows, best: FloatArray, row: Rows, column: Rows, score: FloatArray) -> tuple[Rows, FloatArray]:
    """The best k of each query among those it had [Q, k] and new ones [m]; among equal scores the first.

    Args:
        columns: candidates that the queries had, −1 for none.
        best: their scores, falling, −inf for none.
        row, column, score: query, candidate and score of each new one.
    """
    n, k = columns.shape
    rows = np.concatenate([np.repeat(np.arange(n), k), row])
    all_columns, all_scores = np.concatenate([columns.ravel(), column]), np.concatenate([best.ravel(), score])
    # Stable: what was there comes first among equal scores, and new ones keep the order of their columns.
    order = np.lexsort((-all_scores, rows))
    starts = np.searchsorted(rows[order], np.arange(n))
    kept = order[starts[:, None] + np.arange(k)]
    return all_columns[kept], all_scores[kept]
