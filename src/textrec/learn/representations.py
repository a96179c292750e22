"""Rows that stand for users or items: a dense array, a sparse matrix, or several of these side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = ["ROWS_AT_ONCE", "Parts", "dense", "sparse_products", "stack", "unit_rows"]

ROWS_AT_ONCE = 128
"""Dense rows that stay in the cache."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Several representations of the same users or items, side by side."""

    parts: tuple[Any, ...]  # arrays, sparse matrices or parts, all with the same first axis

    def __len__(self) -> int:
        first = self.parts[0]
        return len(first) if isinstance(first, Parts) else int(first.shape[0])

    def __getitem__(self, rows: Any) -> Parts:
        return Parts(tuple(part[rows] for part in self.parts))


def stack(*several: Any) -> Any:
    """The rows of all, one below the other."""
    first = several[0]
    if isinstance(first, Parts):
        return Parts(tuple(stack(*each) for each in zip(*(one.parts for one in several), strict=True)))
    if sp.issparse(first):
        return sp.csr_array(sp.vstack(several))
    return np.concatenate(several)


def sparse_products(left: Any, right: Any) -> npt.NDArray[np.float32]:
    """Inner products of sparse rows [n, F] with sparse rows [m, F], dense [n, m].

    The left is made dense a few rows at a time: sparse × sparse is ten times slower here, and more than about a hundred
    dense rows fall out of the cache.
    """
    found = np.empty((left.shape[0], right.shape[0]), np.float32)
    for start in range(0, len(found), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        found[part] = (right @ np.ascontiguousarray(dense(left[part]).T)).T
    return found


def dense(scores: Any) -> npt.NDArray[np.float32]:
    """A float32 array, whatever came in."""
    return np.asarray(scores.todense() if sp.issparse(scores) else scores, np.float32)


def unit_rows(reps: Any) -> Any:
    """Rows scaled to length 1; rows of zeros stay zeros."""
    if sp.issparse(reps):
        lengths = np.sqrt(np.asarray(reps.multiply(reps).sum(axis=1), np.float32).ravel())
        scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return sp.csr_array(sp.diags_array(scale) @ reps)
    lengths = np.linalg.norm(reps, axis=1, keepdims=True)
    return np.divide(reps, lengths, out=np.zeros_like(reps), where=lengths > 0)
