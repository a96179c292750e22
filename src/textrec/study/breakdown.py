"""Where a model's hits are: Recall and NDCG at every M, and Recall by user activity, item popularity and text length.

Computed once from the ranks of a fold, small enough to be kept with its figures.

Shapes: `n` users with a test like, `L` test likes, `C` candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Dataset
from textrec.protocol.folds import Fold
from textrec.protocol.metrics import UserMetrics

__all__ = ["Edges", "curves", "edges_of", "groups"]

CURVE_AT = (*range(1, 101), *range(105, 301, 5))
"""The M of the curves: every one up to 100 (Figure 3), then every fifth up to 300."""
DIGITS = 6


@dataclass(frozen=True)
class Edges:
    """Lower bounds of the groups of one data set, so that every fold and model has the same groups."""

    activity: tuple[int, ...] = (0, 10, 20, 50, 100)  # training likes of a user
    popularity: tuple[int, ...] = (0, 5, 10, 20, 50)  # likes of an item, those held out included
    length: tuple[int, ...] = (0,)  # tokens of an item


def edges_of(data: Dataset) -> Edges:
    """Text length is cut at the quartiles of the items with at least one word."""
    lengths = np.asarray(data.items.documents.lengths)
    lengths = lengths[lengths > 0]
    if len(lengths) == 0:
        return Edges()
    inner = np.unique(np.ceil(np.quantile(lengths, [0.25, 0.5, 0.75])).astype(int))
    return Edges(length=(0, *inner[inner > 0].tolist()))


def curves(metrics: UserMetrics, n_candidates: int) -> dict[str, list[float]]:
    """Recall@M and NDCG@M, means over users, up to the size of the pool.

    Returns:
        `m`, `recall` and `ndcg`, lists of equal length.
    """
    at = [m for m in CURVE_AT if m <= max(n_candidates, 1)]
    if len(metrics) == 0:
        return {"m": [], "recall": [], "ndcg": []}
    weights = 1 / metrics.likes()[metrics.place] / len(metrics)
    within = np.bincount(np.minimum(metrics.ranks, CURVE_AT[-1] + 1), weights, minlength=CURVE_AT[-1] + 2)
    recall = np.cumsum(within)[at]
    ndcg = [float(metrics.ndcg(m).mean()) for m in at]
    return {"m": list(at), "recall": _rounded(recall), "ndcg": _rounded(ndcg)}


def groups(fold: Fold, metrics: UserMetrics, edges: Edges) -> dict[str, list[dict[str, Any]]]:
    """Recall of parts of the users and of parts of the test likes.

    Args:
        fold: what was ranked.
        metrics: of `rank_fold`: test likes by user row, then by candidate.
        edges: of the data set.

    Returns:
        `activity`: a user's training likes; `count` users, `recall@10` and `recall@50` are means over them.
        `popularity` and `length`: of the item; `count` test likes, the figures are the share of them in the top M.
        `group` is `10–19`; empty groups are left out.
    """
    columns = fold.test_likes[fold.test_users].indices
    activity = fold.train.likes_per_user()[metrics.users]
    held_out = np.bincount(fold.test_likes.indices, minlength=len(fold.candidates))
    liked = held_out + np.bincount(fold.seen.indices, minlength=len(fold.candidates))
    tokens = np.asarray(fold.candidates.documents.lengths)
    users = {f"recall@{m}": metrics.recall(m) for m in (10, 50)}
    likes = {f"recall@{m}": (metrics.ranks <= m).astype(np.float64) for m in (10, 50)}
    return {
        "activity": _grouped(activity, edges.activity, users),
        "popularity": _grouped(liked[columns], edges.popularity, likes),
        "length": _grouped(tokens[columns], edges.length, likes),
    }


def _grouped(
    sizes: npt.NDArray[Any], lows: Sequence[int], values: dict[str, npt.NDArray[np.float64]]
) -> list[dict[str, Any]]:
    place = np.searchsorted(lows, sizes, side="right") - 1
    counts = np.bincount(place, minlength=len(lows))
    means = {name: np.bincount(place, value, len(lows)) / np.maximum(counts, 1) for name, value in values.items()}
    return [
        {
            "group": _span(lows, number),
            "count": int(counts[number]),
            **{name: round(float(mean[number]), DIGITS) for name, mean in means.items()},
        }
        for number in np.flatnonzero(counts).tolist()
    ]


def _span(lows: Sequence[int], number: int) -> str:
    """`10–19`, and `≥ 100` at the end."""
    low = lows[number]
    if number + 1 == len(lows):
        return f"≥ {low}"
    high = lows[number + 1] - 1
    return str(low) if low == high else f"{low}–{high}"


def _rounded(values: Any) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
