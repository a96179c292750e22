"""How test parts are drawn: items dealt into folds, likes dealt into folds, items that are new after a date.

Everything random comes from one `numpy.random.default_rng(seed)`, in the order the protocol says.

Shapes: `U` users, `I` items.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from textrec.dataset import Csr, Dataset, Rows, binary_csr
from textrec.errors import ArgumentError, DataError
from textrec.protocol.folds import pairs

__all__ = [
    "deal_items",
    "deal_likes",
    "first_likes",
    "likes_before",
    "new_items",
    "seconds_of",
    "share_of_items",
    "share_of_likes",
]


def deal_items(dataset: Dataset, folds: int, seed: int, everything: bool, min_item_likes: int) -> list[Rows]:
    """Rows of items with enough likes (or of all items) in folds of equal size, ascending.

    Raises:
        DataError: fewer items with enough likes than folds.
    """
    eligible = dataset.likes_per_item() >= min_item_likes
    if (found := int(eligible.sum())) < folds:
        raise DataError(
            f"{found} items have {min_item_likes} likes or more, too few for {folds} folds; "
            "use fewer folds or lower min_item_likes"
        )
    rows = np.arange(dataset.n_items) if everything else np.flatnonzero(eligible)
    parts = np.array_split(np.random.default_rng(seed).permutation(rows), folds)
    return [np.sort(part).astype(np.int64) for part in parts]


def deal_likes(dataset: Dataset, folds: int, seed: int, min_item_likes: int) -> list[Csr]:
    """Likes on items with enough of them, dealt user by user: a CSR [U, I] a fold, no item without a training like.

    Raises:
        DataError: fewer such likes than folds.
    """
    rng = np.random.default_rng(seed)
    eligible = dataset.likes_per_item() >= min_item_likes
    users, items = pairs(dataset.likes)
    users, items = users[eligible[items]], items[eligible[items]]
    if len(users) < folds:
        raise DataError(
            f"{len(users)} likes are on items with {min_item_likes} likes or more, too few for {folds} folds; "
            "use fewer folds or lower min_item_likes"
        )
    sizes = np.bincount(users, minlength=dataset.n_users)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    # a call a user: one permutation of all likes would give other folds than the protocol's
    order = starts + np.concatenate([rng.permutation(size) for size in sizes])
    fold_of = np.empty(len(users), np.int64)
    fold_of[order] = (np.arange(len(users)) - starts + users) % folds
    return [_kept_back(dataset, users[fold_of == fold], items[fold_of == fold]) for fold in range(folds)]


def share_of_items(dataset: Dataset, rng: np.random.Generator, fraction: float, min_item_likes: int) -> Rows:
    """A fraction of the items with enough likes, at least one, ascending.

    Raises:
        DataError: fewer than two such items.
    """
    rows = np.flatnonzero(dataset.likes_per_item() >= min_item_likes)
    if len(rows) < 2:
        raise DataError(f"no validation part: {len(rows)} training items have {min_item_likes} likes or more")
    return np.sort(rng.permutation(rows)[: max(1, round(fraction * len(rows)))]).astype(np.int64)


def share_of_likes(dataset: Dataset, rng: np.random.Generator, fraction: float, min_item_likes: int) -> Csr:
    """A fraction of each user's likes on items with enough likes [U, I], never an item's last."""
    eligible = dataset.likes_per_item() >= min_item_likes
    users, items = pairs(dataset.likes)
    users, items = users[eligible[items]], items[eligible[items]]
    sizes = np.bincount(users, minlength=dataset.n_users)
    quota = np.floor(fraction * sizes + rng.random(dataset.n_users))
    order = np.lexsort((rng.random(len(users)), users))
    place = np.arange(len(users)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    taken = np.sort(order[place < quota[users]])  # `users` is sorted, so `order` leaves it as it is
    return _kept_back(dataset, users[taken], items[taken])


def _kept_back(dataset: Dataset, users: Rows, items: Rows) -> Csr:
    """Test likes [U, I] from pairs by user row; an item that would keep no training like gets its first one back."""
    stripped = np.bincount(items, minlength=dataset.n_items) == dataset.likes_per_item()
    _, first = np.unique(items, return_index=True)
    kept = np.ones(len(items), bool)
    kept[first] = ~stripped[items[first]]
    return binary_csr(users[kept], items[kept], dataset.likes.shape)


def seconds_of(cutoff: str | datetime) -> int:
    """Seconds since 1970; UTC unless the date says otherwise."""
    try:
        when = cutoff if isinstance(cutoff, datetime) else datetime.fromisoformat(cutoff)
    except (TypeError, ValueError):
        raise ArgumentError(f"cutoff must be an ISO date such as 2016-09-15, got {cutoff!r}") from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def first_likes(dataset: Dataset) -> Rows:
    """When each item was first liked [I], seconds since 1970; the largest integer where it never was."""
    if dataset.timestamps is None:
        raise ArgumentError("setting 'time' needs likes with timestamps, and this data has none; use cold or warm")
    first = np.full(dataset.n_items, np.iinfo(np.int64).max)
    np.minimum.at(first, dataset.timestamps.indices, dataset.timestamps.data)
    return first


def new_items(dataset: Dataset, cutoff: int) -> Rows:
    """Rows of the items first liked at or after `cutoff` (seconds since 1970), ascending.

    Raises:
        ArgumentError: no timestamps, no such item, or no like before the cutoff.
    """
    first = first_likes(dataset)
    rows = np.flatnonzero((first >= cutoff) & (dataset.likes_per_item() > 0)).astype(np.int64)
    when = datetime.fromtimestamp(cutoff, UTC).isoformat()
    if len(rows) == 0:
        raise ArgumentError(f"cutoff must leave items that are first liked at or after it, got {when}; take an earlier")
    if not (dataset.timestamps.data < cutoff).any():
        raise ArgumentError(f"cutoff must leave likes before it to train on, got {when}; take a later one")
    return rows


def likes_before(dataset: Dataset, cutoff: int) -> Csr:
    """The likes before `cutoff` (seconds since 1970) [U, I]."""
    users, items = pairs(dataset.timestamps)
    kept = dataset.timestamps.data < cutoff
    return binary_csr(users[kept], items[kept], dataset.likes.shape)
