"""Metrics, computed from the ranks of the test likes.

A rank counts from 1 among the candidates the user has not seen; ties go to the lower item row (`protocol.ranking`).
In every mean a user without test likes is left out, and one without training likes stays in.

Shapes: `n` users with at least one test like, `L` test likes, `C` candidates, `G` tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Csr, Rows
from textrec.errors import ArgumentError
from textrec.protocol.ranking import BLOCK_BYTES, Progress, Scorer, rank_blocks, rank_likes, ranks_of
from textrec.protocol.splits import Fold

__all__ = [
    "LIST_LENGTH",
    "RECALL_AT",
    "FoldRanking",
    "UserMetrics",
    "aggregate",
    "coverage",
    "fold_recall",
    "novelty",
    "paired_test",
    "rank_fold",
    "summary",
    "tag_recall",
]

FloatArray = npt.NDArray[np.float64]
LIST_LENGTH = 50
"""Length of the top lists that coverage and novelty are of."""
RECALL_AT = (10, 50, 100, 200, 300)
"""The M of the Recall@M that every evaluation reports."""


@dataclass(frozen=True, eq=False)
class UserMetrics:
    """Metrics of each user, float64 [n], in the order of `users`; the mean over users is `.mean()`.

    Without users every array is empty.
    """

    users: Rows  # [n] rows of the users with at least one test like, ascending
    place: Rows  # [L] where the user of each test like stands in `users`
    ranks: Rows  # [L] rank of each test like, from 1

    @classmethod
    def of(cls, user_rows: Rows, ranks: Rows) -> UserMetrics:
        """From the user row and the rank of each test like, in any order.

        Raises:
            ArgumentError: not one rank for each row, or a rank below 1.
        """
        if len(user_rows) != len(ranks):
            raise ArgumentError(f"ranks must be one for each test like, got {len(ranks)} for {len(user_rows)}")
        if len(ranks) and ranks.min() < 1:
            raise ArgumentError(f"ranks must be at least 1, got {ranks.min()}")
        users, place = np.unique(user_rows, return_inverse=True)
        return cls(users.astype(np.int64), place.astype(np.int64), ranks)

    def __len__(self) -> int:
        return len(self.users)

    def likes(self) -> Rows:
        """Test likes of each user [n], ≥ 1."""
        return np.bincount(self.place, minlength=len(self)).astype(np.int64)

    def recall(self, m: int) -> FloatArray:
        """Recall@M: test likes with rank ≤ M, divided by all the user's test likes (also where these exceed M)."""
        return self._sum(self.ranks <= _at(m)) / self.likes()

    def ndcg(self, m: int) -> FloatArray:
        """NDCG@M: `Σ 1 / log2(1 + rank)` over test likes with rank ≤ M, divided by what the best ranking would have.

        Binary gain; the best ranking has `min(M, test likes)` hits at the top.
        """
        gain = self._sum(np.where(self.ranks <= _at(m), 1 / np.log2(1 + self.ranks), 0.0))
        ideal = np.cumsum(1 / np.log2(np.arange(2, 2 + max(m, 1))))
        return np.asarray(gain / ideal[np.minimum(self.likes(), m) - 1])

    def hr(self, m: int = 10) -> FloatArray:
        """HR@M, the paper's: `Σ 1 / rank` over test likes with rank ≤ M; no denominator, above 1 with two good hits."""
        return self._sum(np.where(self.ranks <= _at(m), 1 / self.ranks, 0.0))

    def mrr(self) -> FloatArray:
        """Reciprocal rank of the user's first test like, over the full ranking."""
        best = np.zeros(len(self))
        np.maximum.at(best, self.place, 1 / self.ranks)
        return best

    def average_precision(self) -> FloatArray:
        """Average precision over the full ranking: the mean of `i / rank_i` over all test likes, by rising rank."""
        order = np.lexsort((self.ranks, self.place))
        likes = self.likes()
        hits = 1 + np.arange(len(order)) - np.repeat(np.cumsum(likes) - likes, likes)
        ordered = UserMetrics(self.users, self.place[order], self.ranks[order])
        return ordered._sum(hits / ordered.ranks) / likes

    def _sum(self, values: npt.NDArray[Any]) -> FloatArray:
        return np.bincount(self.place, weights=values, minlength=len(self)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class FoldRanking:
    """How a model ranked one fold."""

    metrics: UserMetrics
    top: Rows  # [n, k] columns of the candidates, best first, −1 where there is none


def rank_fold(
    fold: Fold,
    score: Scorer,
    *,
    k: int = LIST_LENGTH,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> FoldRanking:
    """Rank a fold's candidates for every user with a test like.

    Args:
        fold: the fold.
        score: scores [B, C] of `fold.candidates` for user rows [B].
        k: length of the top lists.
        block_bytes: about what ranking a block of users may take.
        progress: told after each block.

    Raises:
        ArgumentError: scores of a wrong shape or with NaN.
        LeakError: a test like is a training like.
    """
    users = fold.test_users
    ranks, top = rank_likes(
        score, users, fold.test_likes, seen=fold.seen, k=k, block_bytes=block_bytes, progress=progress
    )
    rows = np.repeat(users, np.diff(fold.test_likes.indptr)[users])
    return FoldRanking(UserMetrics.of(rows, ranks), top)


def fold_recall(fold: Fold, score: Scorer, k: int, *, users: Rows | None = None) -> float:
    """Mean Recall@k of one fold (`UserMetrics.recall`), or of some of its test users; 0.0 when there are none."""
    users, n_candidates = fold.test_users if users is None else users, len(fold.candidates)
    likes = np.diff(fold.test_likes.indptr)
    wanted = np.repeat(np.arange(len(likes)), likes) * n_candidates + fold.test_likes.indices
    hits = [np.zeros(0, np.int64)]
    # top lists alone take a quarter of the time of full ranks, and this runs every epoch
    for block, columns, _ in rank_blocks(score, users, n_candidates, seen=fold.seen, k=k):
        found = np.isin(block[:, None] * n_candidates + columns, wanted) & (columns >= 0)
        hits.append(found.sum(axis=1))
    return _mean(np.concatenate(hits) / likes[users])


def coverage(top: Rows, n_candidates: int) -> float:
    """Candidates that stand in at least one top list, divided by all candidates; 0.0 without candidates.

    Args:
        top: columns of the candidates [n, k], −1 for none.
        n_candidates: C.
    """
    return len(np.unique(top[top >= 0])) / n_candidates if n_candidates else 0.0


def novelty(top: Rows, likes_of: Rows) -> float:
    """How unpopular the recommended items are: the mean of `−log2 p` over a user's list, then over users.

    `p = (training likes of the item + 1) / (training likes of all candidates + C)`: smoothed by one like an item, so an
    item nobody has liked has a value too. In the cold setting all candidates have the same p and the figure says
    nothing about the model: it is `log2 C`. Users with an empty list are left out; 0.0 when no list has an item.

    Args:
        top: columns of the candidates [n, k], −1 for none.
        likes_of: training likes of each candidate [C].
    """
    listed = top >= 0
    lengths = listed.sum(axis=1)
    if not lengths.any():
        return 0.0
    surprise = -np.log2((likes_of + 1) / (likes_of.sum() + len(likes_of)))
    totals = np.where(listed, surprise[np.maximum(top, 0)], 0.0).sum(axis=1)
    return float(np.mean(totals[lengths > 0] / lengths[lengths > 0]))


def tag_recall(scores: npt.NDArray[Any], tags: Csr, m: int = 50) -> FloatArray:
    """Recall@M of predicted tags, for each held-out item with at least one kept tag; the others are left out.

    The item's tags with rank ≤ M, divided by all its tags; ties go to the lower tag row. The mean over items is
    `.mean()`; empty when no item has a tag.

    Args:
        scores: of each tag for each item [C, G].
        tags: the true tags [C, G], such as `Fold.test_tags`.
        m: M, ≥ 1.
    """
    items = np.repeat(np.arange(tags.shape[0]), np.diff(tags.indptr))
    return UserMetrics.of(items, ranks_of(np.asarray(scores, np.float32), None, tags)).recall(m)


def summary(fold: Fold, ranking: FoldRanking) -> dict[str, float]:
    """All metrics of one fold: means over the users with a test like (0.0 when there is none), and the counts.

    Coverage and novelty are of the top lists of these users, and carry their length in the name.
    """
    metrics, n_candidates = ranking.metrics, len(fold.candidates)
    row = {f"recall@{m}": _mean(metrics.recall(m)) for m in RECALL_AT}
    row |= {"ndcg@50": _mean(metrics.ndcg(50)), "hr@10": _mean(metrics.hr(10)), "mrr": _mean(metrics.mrr())}
    row |= {"map": _mean(metrics.average_precision())}
    top = ranking.top[:, :LIST_LENGTH]
    likes_of = np.bincount(fold.seen.indices, minlength=n_candidates).astype(np.int64)
    row |= {f"coverage@{LIST_LENGTH}": coverage(top, n_candidates), f"novelty@{LIST_LENGTH}": novelty(top, likes_of)}
    return row | {"users": len(metrics), "candidates": n_candidates}


def aggregate(folds: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float | None]]:
    """Mean and sample standard deviation (`n − 1`) over folds, each fold counting the same.

    Args:
        folds: `summary` of each fold, ≥ 1.

    Returns:
        Means and deviations by name; a deviation is None for a single fold.

    Raises:
        ArgumentError: no folds, or folds with different metrics.
    """
    if not folds:
        raise ArgumentError("folds must be at least one, got none")
    names = list(folds[0])
    for number, fold in enumerate(folds):
        if set(fold) != set(names):
            odd = ", ".join(sorted(set(fold) ^ set(names)))
            raise ArgumentError(f"folds must have the same metrics, fold {number} differs in {odd}")
    values = np.array([[fold[name] for name in names] for fold in folds], np.float64)
    means = dict(zip(names, values.mean(axis=0).tolist(), strict=True))
    if len(folds) == 1:
        return means, dict.fromkeys(names)
    return means, dict(zip(names, values.std(axis=0, ddof=1).tolist(), strict=True))


def paired_test(a: npt.ArrayLike, b: npt.ArrayLike, *, seed: int, resamples: int = 10_000) -> dict[str, float]:
    """Whether model A beats model B on the same users: a paired bootstrap over users.

    Users are drawn with replacement `resamples` times; `low` and `high` are the 2.5 and 97.5 percentiles of the mean
    difference. Two-sided `p = 2 (1 + the smaller of #(mean ≤ 0) and #(mean ≥ 0)) / (1 + resamples)`, at most 1: it is
    1 for equal arrays and never 0.

    Args:
        a: a metric of each user under model A [n].
        b: the same metric of the same users under model B [n].
        seed: of `numpy.random.default_rng`.
        resamples: ≥ 1.

    Returns:
        `difference` (mean of a − b), `low`, `high`, `p`, `n`.

    Raises:
        ArgumentError: arrays of different length, empty, or with values that are not finite.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) == 0:
        raise ArgumentError(f"a and b must hold the same users, at least one, got {first.shape} and {second.shape}")
    differences = first - second
    if not np.isfinite(differences).all():
        raise ArgumentError("a and b must be finite, got NaN or infinity")
    rng, n = np.random.default_rng(seed), len(first)
    step = max(1, (1 << 20) // n)  # resamples a block: its index matrix stays at about 8 MB
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    means = np.concatenate([differences[rng.integers(n, size=(size, n))].mean(axis=1) for size in sizes])
    low, high = np.percentile(means, [2.5, 97.5])
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (1 + tail) / (1 + resamples))
    return {"difference": float(differences.mean()), "low": float(low), "high": float(high), "p": p, "n": n}


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _at(m: int) -> int:
    if m < 1:
        raise ArgumentError(f"m must be at least 1, got {m}")
    return m
