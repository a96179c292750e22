"""Top lists as frames, and the check of their length."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import polars as pl

from textrec.dataset import Rows
from textrec.errors import ArgumentError, TextrecWarning

__all__ = ["NOTHING", "check_k", "ranked_frame"]

NOTHING: tuple[Rows, npt.NDArray[np.float32]] = (np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32))
"""Columns and scores of no list at all."""


def check_k(k: int, available: int, what: str) -> None:
    """Warn when fewer than k are available.

    Raises:
        ArgumentError: k is below 1.
    """
    if isinstance(k, bool) or k < 1:
        raise ArgumentError(f"k must be a whole number of at least 1, got {k!r}")
    if k > available:
        message = f"k is {k:,} and there are {available:,} {what}; all of them are returned"
        warnings.warn(message, TextrecWarning, stacklevel=4)


def ranked_frame(
    key: str, keys: pl.Series, value: str, values: pl.Series, columns: Rows, scores: npt.NDArray[np.float32]
) -> pl.DataFrame:
    """Top lists [n, k] (column −1: nothing) as a frame `key, rank, value, score`."""
    row, place = np.nonzero(columns >= 0)
    return pl.DataFrame(
        {
            key: keys.gather(row),
            "rank": (place + 1).astype(np.int32),
            value: values.gather(columns[row, place]),
            "score": scores[row, place].astype(np.float32),
        }
    )
