"""Rows that stand for users or items, as a dense array or a sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = ["dense", "stack", "unit_rows"]


def stack(first: Any, second: Any) -> Any:
    """The rows of both, one below the other."""
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
