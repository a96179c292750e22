"""Rows that stand for users or items: a dense array, a sparse matrix, or several of these side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = ["Parts", "dense", "stack", "unit_rows"]


@dataclass(frozen=True, eq=False)
class Parts:
    """Several representations of the same users or items, side by side."""

    parts: tuple[Any, ...]  # arrays, sparse matrices or parts, all with the same first axis

    def __len__(self) -> int:
        first = self.parts[0]
        return len(first) if isinstance(first, Parts) else int(first.shape[0])

    def __getitem__(self, rows: Any) -> Parts:
        return Parts(tuple(part[rows] for part in self.parts))


def stack(first: Any, second: Any) -> Any:
    """The rows of both, one below the other."""
    if isinstance(first, Parts):
        return Parts(tuple(stack(*both) for both in zip(first.parts, second.parts, strict=True)))
    if sp.issparse(first):
        return sp.csr_array(sp.vstack([first, second]))
    return np.concatenate([first, second])


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
