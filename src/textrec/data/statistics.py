"""What a data set holds, in numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Dataset
from textrec.errors import DataError
from textrec.text import Vocabulary

__all__ = ["PAPER_VOCABULARY", "describe"]

PAPER_VOCABULARY = {"citeulike-a": 21_129, "citeulike-t": 24_697}
"""Vocabulary sizes the paper reports (§4.1.2), with abstracts."""


def describe(dataset: Dataset) -> dict[str, Any]:
    """Counts of a data set, ready for JSON. The keys are always the same.

    | key | value |
    |---|---|
    | `name` | of the data set |
    | `users`, `items`, `likes` | counts as read |
    | `sparsity_percent` | share of user-item pairs that are no like, in percent |
    | `items_with_5_likes` | items with at least 5 likes |
    | `tags`, `tags_used`, `tags_on_10_items` | tag names, those on an item, those on at least 10 |
    | `filtered` | the same (without `tags_used`) after the protocol's filters: users with at least 5 likes, tags on at
      least 10 items; null when no user is left |
    | `likes_per_user`, `likes_per_item` | `median` and `max`, as read |
    | `text` | `ordered` (false: bag of words); tokens an item: `mean`, `median`, `p95`, `max`; `empty` items |
    | `vocabulary` | words that stand at least 5 times in the items' texts, without `<UNK>` |
    | `paper_vocabulary` | the paper's size, for data sets named `citeulike-a…` or `citeulike-t…`, else null |
    | `timestamps` | `first` and `last` like, ISO in UTC, or null |
    | `problems` | what reading noticed: `severity`, `path`, `line`, `message`, `count` each |
    """
    lengths = dataset.items.documents.lengths
    papers = [size for name, size in PAPER_VOCABULARY.items() if dataset.name.startswith(name)]
    return {
        "name": dataset.name,
        **_counts(dataset),
        "tags_used": int((_tag_items(dataset) > 0).sum()),
        "filtered": _filtered(dataset),
        "likes_per_user": _spread(dataset.likes_per_user()),
        "likes_per_item": _spread(dataset.likes_per_item()),
        "text": {
            "ordered": dataset.items.documents.ordered,
            "mean": round(float(lengths.mean()), 2) if len(lengths) else 0.0,
            **_spread(lengths),
            "p95": round(float(np.percentile(lengths, 95)), 2) if len(lengths) else 0.0,
            "empty": int((lengths == 0).sum()),
        },
        "vocabulary": len(Vocabulary.build(dataset.items.documents, min_count=5)) - 1,
        "paper_vocabulary": papers[0] if papers else None,
        "timestamps": _range(dataset),
        "problems": [
            {
                "severity": problem.severity,
                "path": problem.path,
                "line": problem.line,
                "message": problem.message,
                "count": problem.count,
            }
            for problem in dataset.problems
        ],
    }


def _counts(dataset: Dataset) -> dict[str, Any]:
    cells = dataset.n_users * dataset.n_items
    return {
        "users": dataset.n_users,
        "items": dataset.n_items,
        "likes": dataset.n_likes,
        "sparsity_percent": round(100 * (1 - dataset.n_likes / cells), 4) if cells else 100.0,
        "items_with_5_likes": int((dataset.likes_per_item() >= 5).sum()),
        "tags": len(dataset.items.tag_names),
        "tags_on_10_items": int((_tag_items(dataset) >= 10).sum()),
    }


def _filtered(dataset: Dataset) -> dict[str, Any] | None:
    try:
        return _counts(dataset.filtered())
    except DataError:
        return None


def _tag_items(dataset: Dataset) -> npt.NDArray[np.int64]:
    return np.bincount(dataset.items.tags.indices, minlength=len(dataset.items.tag_names))


def _spread(values: npt.NDArray[np.int64]) -> dict[str, Any]:
    if len(values) == 0:
        return {"median": 0.0, "max": 0}
    return {"median": float(np.median(values)), "max": int(values.max())}


def _range(dataset: Dataset) -> dict[str, str] | None:
    if dataset.timestamps is None or dataset.n_likes == 0:
        return None
    times = dataset.timestamps.data
    return {"first": _iso(int(times.min())), "last": _iso(int(times.max()))}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
