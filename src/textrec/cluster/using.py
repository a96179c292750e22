"""Use of a trained model by several processes: lists for many users, vectors of many texts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from textrec.cluster.blocks import spread
from textrec.dataset import Items
from textrec.errors import TextrecWarning
from textrec.learn.recommender import Recommender
from textrec.retrieval.everyone import recommend_everyone

__all__ = ["encode_blocks", "recommend_blocks"]

PARTS_A_WORKER = 4
"""Ranges of rows a worker, so that a slow one leaves some to the others."""


def recommend_blocks(
    model: Recommender, *, cluster: str, workers: int = 2, threads: int = 1, **asked: Any
) -> Iterator[pl.DataFrame]:
    """`everyone.recommend_everyone` with exact search: frames `user_id, rank, item_id, score`, in the order of users.

    Args:
        model: a fitted model.
        cluster: `local`, `auto` or HOST:PORT.
        workers: processes, each with the whole model.
        threads: processors of each.
        asked: `k`, `items` and `exclude_seen`.
    """
    # New items are read at the beginning of each range, so that each worker then gets one.
    parts = workers * (PARTS_A_WORKER if asked.get("items") is None else 1)
    next(model.recommend_blocks([], **asked))  # faults show here, before Ray starts
    return spread(_Ranking(model, asked), model.data.n_users, parts, cluster=cluster, workers=workers, threads=threads)


def encode_blocks(
    model: Recommender, items: Items, *, cluster: str, workers: int = 2, threads: int = 1, rows: int = 1 << 14
) -> Iterator[pl.DataFrame]:
    """`Recommender.encode` of a table of items: frames `item_id, vector`, in the order of the table.

    Args:
        model: a fitted model with the capability `vectors`.
        items: any number of items, in memory.
        cluster: `local`, `auto` or HOST:PORT.
        workers: processes, each with the whole model and the texts as word ids.
        threads: processors of each.
        rows: items a frame.
    """
    model.encode(items.take(np.arange(min(len(items), 1))))  # faults show here, before Ray starts
    texts = Items.build(items.ids.values, documents=items.documents)
    parts = workers * PARTS_A_WORKER
    work = _Encoding(model, texts, rows)
    return spread(work, len(items), parts, cluster=cluster, workers=workers, threads=threads)


@dataclass(frozen=True)
class _Ranking:
    """Lists for users from one row to another."""

    model: Recommender
    asked: dict[str, Any]

    def __call__(self, start: int, stop: int) -> Iterator[pl.DataFrame]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TextrecWarning)  # they were said where the work was asked for
            found = recommend_everyone(self.model, **self.asked, search="exact", users=np.arange(start, stop))
            yield from found.frames


@dataclass(frozen=True)
class _Encoding:
    """Vectors of items from one row to another."""

    model: Recommender
    items: Items
    rows: int

    def __call__(self, start: int, stop: int) -> Iterator[pl.DataFrame]:
        for first in range(start, stop, self.rows):
            part = self.items.take(np.arange(first, min(first + self.rows, stop)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TextrecWarning)
                vectors = self.model.encode(part)
            schema: dict[str, Any] = {"item_id": pl.String, "vector": pl.Array(pl.Float32, vectors.shape[1])}
            yield pl.DataFrame({"item_id": part.ids.values, "vector": vectors}, schema=schema)
