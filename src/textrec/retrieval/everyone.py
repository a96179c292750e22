"""The best items for every user of a model, as a stream of frames: memory does not grow with the users.

A model whose score is a dot product is searched as `index` does; any other model ranks as `recommend` does.

Shapes: `B` users of a block, `C` candidates, `K` factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from textrec.dataset import Rows
from textrec.errors import ArgumentError
from textrec.learn.lists import NOTHING, ranked_frame
from textrec.learn.recommender import Recommender
from textrec.retrieval.index import SAMPLE, ItemIndex

__all__ = ["Everyone", "Search", "recommend_everyone"]

Search = Literal["auto", "exact", "approximate"]
"""`auto` is approximate above `index.APPROXIMATE_ABOVE` candidates."""

BLOCK = 1 << 12
"""Users ranked at once: their lists take a few megabytes."""


@dataclass(frozen=True, eq=False)
class Everyone:
    """Lists to come, and how they are found."""

    frames: Iterator[pl.DataFrame]  # `user_id, rank, item_id, score`; the first one is empty
    approximate: bool
    recall: float  # at k, against the exact lists of a sample of the users; 1 for exact search


def recommend_everyone(
    model: Recommender,
    *,
    k: int = 10,
    items: Any = None,
    exclude_seen: bool = True,
    search: Search = "auto",
    users: Rows | None = None,
) -> Everyone:
    """The best items for all users.

    Args:
        model: a fitted model.
        k: how many, ≥ 1.
        items: the candidates, as for `Recommender.recommend`; None for the catalogue.
        exclude_seen: leave out what a user already liked.
        search: how.
        users: rows of the users to rank; None for all.

    Raises:
        ArgumentError: as `recommend`; or `approximate` for a model whose score is no dot product.
    """
    if search not in ("auto", "exact", "approximate"):
        raise ArgumentError(f"search must be auto, exact or approximate, got {search!r}")
    if exclude_seen and not model.likes_known:
        model.recommend([], k=k, exclude_seen=True)  # says why not
    selection = model._candidates(items, k)
    reps = model._item_reps(selection) if model.scores_by_product else None
    if not isinstance(reps, np.ndarray):
        if search == "approximate":
            raise ArgumentError(
                f"the score of the model {model.name!r} is no dot product, so there is no approximate search for it; "
                "use --search exact"
            )
        names = None if users is None else model.data.users.names(users).to_list()
        return Everyone(model.recommend_blocks(names, k=k, items=items, exclude_seen=exclude_seen), False, 1.0)
    rows = np.arange(model.data.n_users) if users is None else users
    seen = selection.columns_of(model.data.likes) if exclude_seen else None
    some = rows[np.sort(np.random.default_rng(model.seed).permutation(len(rows))[:SAMPLE])]
    index = ItemIndex(
        reps,
        model._user_reps(some),
        k,
        seen=None if seen is None else seen[some],
        approximate={"exact": False, "approximate": True}.get(search),
        seed=model.seed,
    )

    def frames() -> Iterator[pl.DataFrame]:
        names, ids = model.data.users, selection.ids
        yield ranked_frame("user_id", names.names(rows[:0]), "item_id", ids, *NOTHING)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            queries, known = model._user_reps(block), None if seen is None else seen[block]
            found = index.search(queries, k, seen=known)
            yield ranked_frame("user_id", names.names(block), "item_id", ids, *found)

    return Everyone(frames(), index.approximate, index.recall)
