"""Ranking in blocks of users: the user × item matrix never exists.

A score and its column become one 64-bit key, smaller for a higher score and, between equal scores, for a lower column.
So ties are settled by sorting keys alone: exact, deterministic, the same for top lists and for ranks.

Shapes: `B` users of a block, `C` candidates, `U` users, `L` test likes, `n` users ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Csr, Rows
from textrec.errors import ArgumentError, LeakError

__all__ = ["Progress", "Scorer", "rank_blocks", "rank_likes", "ranks_of", "top_k"]

Keys = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.float32]
Scorer = Callable[[Rows], npt.NDArray[Any]]
"""Scores [B, C] of the candidates for user rows [B]."""
Progress = Callable[[int, int], None]
"""Called after each block with the users done and the users in all."""

BLOCK_BYTES = 1 << 26
"""About what ranking a block takes, whatever the number of users and candidates."""
BYTES_A_SCORE = 20  # float32 score, uint64 key, what makes the key
SEEN = np.uint64(2**64 - 1)
NEVER = np.uint64(0xFF800000 << 32)  # the key of −inf in column 0


def top_k(scores: FloatArray, k: int) -> tuple[Rows, FloatArray]:
    """The highest scores of each row, ties by lower column.

    Args:
        scores: float32 [B, C]; −inf marks what may not be returned.
        k: how many, ≥ 1.

    Returns:
        Columns int64 and scores float32, both [B, min(k, C)], best first. Rows with fewer are padded with column −1
        and score −inf.

    Raises:
        ArgumentError: k below 1, scores that are not a matrix, or NaN among them.
    """
    return _decoded(_smallest(_keys(scores), _checked_k(k)))


def ranks_of(scores: FloatArray, seen: Csr, test: Csr) -> Rows:
    """The rank of each test like among the candidates its user has not seen.

    `rank = 1 + #(higher score) + #(equal score, lower column)`.

    Args:
        scores: float32 [B, C].
        seen: [B, C] candidates that are not ranked, or None.
        test: [B, C] test likes.

    Returns:
        int64 [L] in the order of `test.indices`, from 1.

    Raises:
        ArgumentError: as `top_k`.
        LeakError: a test like is also seen.
    """
    keys = _masked(_keys(scores), seen)
    own = _own_keys(keys, test)
    keys.sort(axis=1)
    return _places(keys, _row_of(test), own) + 1


def rank_blocks(
    score: Scorer,
    rows: Rows | int,
    n_candidates: int,
    *,
    seen: Csr = None,
    k: int = 10,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Iterator[tuple[Rows, Rows, FloatArray]]:
    """Top lists, block by block.

    Args:
        score: scores of a block; what it returns is not written to.
        rows: user rows, or how many users there are.
        n_candidates: C.
        seen: [U, C] candidates that are not returned, by user row, or None.
        k: length of the lists, ≥ 1.
        block_bytes: about what a block may take.
        progress: told after each block.

    Yields:
        User rows [B], columns [B, min(k, C)] and scores, as `top_k`.

    Raises:
        ArgumentError: k below 1, or scores of a wrong shape or with NaN.
    """
    k = _checked_k(k)
    for block, keys in _blocks(score, _rows(rows), n_candidates, seen, block_bytes, progress):
        yield block, *_decoded(_smallest(keys, k))


def rank_likes(
    score: Scorer,
    rows: Rows | int,
    test: Csr,
    *,
    seen: Csr = None,
    k: int = 50,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> tuple[Rows, Rows]:
    """The ranks of all test likes, and the top lists, from one pass over the users.

    Args:
        score: scores of a block; what it returns is not written to.
        rows: user rows [n], or how many users there are.
        test: [U, C] test likes, by user row.
        seen: [U, C] candidates that are not ranked, by user row, or None.
        k: length of the lists, ≥ 1.
        block_bytes: about what a block may take.
        progress: told after each block.

    Returns:
        Ranks int64 [L] from 1, in the order of `test[rows].indices`; columns of the top lists [n, min(k, C)], −1 where
        there is none.

    Raises:
        ArgumentError: k below 1, or scores of a wrong shape or with NaN.
        LeakError: a test like is also seen.
    """
    k, users, n_candidates = _checked_k(k), _rows(rows), test.shape[1]
    ranks = [np.zeros(0, np.int64)]
    tops = [np.zeros((0, min(k, n_candidates)), np.int64)]
    for block, keys in _blocks(score, users, n_candidates, seen, block_bytes, progress):
        likes = test[block]
        own = _own_keys(keys, likes)
        keys.sort(axis=1)
        ranks.append(_places(keys, _row_of(likes), own) + 1)
        tops.append(_decoded(keys[:, :k])[0])
    return np.concatenate(ranks), np.concatenate(tops)


def _blocks(
    score: Scorer, rows: Rows, n_candidates: int, seen: Csr, block_bytes: int, progress: Progress | None
) -> Iterator[tuple[Rows, Keys]]:
    step = max(1, block_bytes // (BYTES_A_SCORE * max(n_candidates, 1)))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        scores = score(block)
        if np.shape(scores) != (len(block), n_candidates):
            raise ArgumentError(f"scores must be {len(block)} users × {n_candidates} items, got {np.shape(scores)}")
        yield block, _masked(_keys(scores), None if seen is None else seen[block])
        if progress is not None:
            progress(min(start + step, len(rows)), len(rows))


def _keys(scores: npt.NDArray[Any]) -> Keys:
    """Keys [B, C]: the score's bits in falling order above, the column below."""
    values = np.asarray(scores, np.float32)
    if values.ndim != 2:
        raise ArgumentError(f"scores must be a matrix [users, candidates], got shape {values.shape}")
    bits = (values + np.float32(0)).view(np.int32)  # −0.0 + 0.0 is 0.0: both zeros are one score
    if values.size and np.isnan(values.max()):
        row, column = np.argwhere(np.isnan(values))[0]
        raise ArgumentError(
            f"scores must be numbers, got NaN in row {row}, column {column}; the model has diverged, "
            "lower its learning rate"
        )
    bits ^= ~(bits >> 31) & np.int32(0x7FFFFFFF)
    keys = bits.view(np.uint32).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(values.shape[1], dtype=np.uint64)
    return keys


def _masked(keys: Keys, seen: Csr) -> Keys:
    if seen is not None:
        keys[_row_of(seen), seen.indices] = SEEN
    return keys


def _smallest(keys: Keys, k: int) -> Keys:
    """The k smallest keys of each row, in order; `keys` is reordered."""
    if 0 < k < keys.shape[1]:
        keys.partition(k - 1, axis=1)
    best = keys[:, :k].copy()
    best.sort(axis=1)
    return best


def _decoded(keys: Keys) -> tuple[Rows, FloatArray]:
    """Columns and scores of keys; −1 and −inf for what may not be returned."""
    columns = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    bits = (keys >> np.uint64(32)).astype(np.uint32).view(np.int32)
    bits ^= ~(bits >> 31) & np.int32(0x7FFFFFFF)
    values = bits.view(np.float32)
    barred = keys >= NEVER
    columns[barred], values[barred] = -1, -np.inf
    return columns, values


def _own_keys(keys: Keys, test: Csr) -> Keys:
    own: Keys = keys[_row_of(test), test.indices]
    leaks = int((own == SEEN).sum())
    if leaks:
        raise LeakError(f"{leaks:,} test likes are also seen likes: training has read what it is tested on")
    return own


def _places(keys: Keys, rows: Rows, own: Keys) -> Rows:
    """How many keys of its row are smaller than each own key; rows of `keys` are sorted."""
    low = np.zeros(len(own), np.int64)
    high = np.full(len(own), keys.shape[1], np.int64)
    for _ in range(keys.shape[1].bit_length()):  # one binary search for all test likes at once
        middle = (low + high) // 2
        smaller = keys[rows, np.minimum(middle, keys.shape[1] - 1)] < own
        open_ = low < high
        low = np.where(open_ & smaller, middle + 1, low)
        high = np.where(open_ & ~smaller, middle, high)
    return low


def _row_of(matrix: Csr) -> Rows:
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))


def _rows(rows: Rows | int) -> Rows:
    return np.arange(rows, dtype=np.int64) if isinstance(rows, int) else rows


def _checked_k(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ArgumentError(f"k must be a whole number of at least 1, got {k!r}")
    return int(k)
