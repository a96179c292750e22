"""What a service does: answers from one `Live`, writes that are stored before they are acknowledged, reloading.

A write holds one lock: it reads the new texts and solves the users, commits, shows the new state, returns. When any of
these fails nothing is acknowledged and nothing is half there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from textrec.dataset import Rows
from textrec.errors import ArgumentError, UnknownItemError
from textrec.explanation import Explanation, explain_for
from textrec.learn.recommender import Recommender
from textrec.protocol.ranking import top_k
from textrec.serve.items import build_items
from textrec.serve.live import Live, Ranked
from textrec.serve.problems import Refusal
from textrec.serve.storage import Storage, StoredItem

__all__ = ["Service"]


class Service:
    """A model, what clients added to it, and where that is kept.

    Args:
        load: reads the model folder; called at the start and at every reload.
        storage: items and likes of clients.
    """

    def __init__(self, load: Callable[[], Recommender], storage: Storage) -> None:
        self._load, self.storage = load, storage
        self._writing, self._reloading = threading.Lock(), threading.Lock()
        self.reloads = 0  # by a request or by SIGHUP
        self.live = Live.start(load()).with_items(storage.items()).with_likes(storage.likes())

    # ------------------------------------------------------------------ writes

    def add_items(self, items: Sequence[StoredItem]) -> list[bool]:
        """Store items, read them, recommend them.

        Returns:
            Whether each is new; one that is there already, word for word, stays as it is.

        Raises:
            Refusal: 409, an id stands for another text already, or for two in this list.
        """
        distinct: dict[str, StoredItem] = {}
        for item in items:
            if distinct.setdefault(item.item_id, item) != item:
                raise Refusal(409, f"item {item.item_id!r} stands twice in this list, with different contents")
        with self._writing:
            live = self.live
            fresh = [item for item in distinct.values() if _is_new(live, item)]
            if fresh:
                grown = live.with_items(fresh)
                self.storage.add_items(fresh)
                liked = {item.item_id for item in fresh}  # likes of an item that was deleted count again
                self.live = grown.solve_again([user for user, had in grown.new_likes.items() if liked & set(had)])
        new = {item.item_id for item in fresh}
        return [item.item_id in new for item in items]

    def delete_item(self, item_id: str) -> None:
        """Forget an added item.

        Raises:
            UnknownItemError: there is none; Refusal: 409, it is the model's.
        """
        with self._writing:
            live = self.live
            row = live.table.row(item_id)
            if row < 0:
                raise UnknownItemError(item_id)
            if row < len(live.table.catalogue):
                raise Refusal(409, "this item belongs to the model; train the model without it and reload")
            smaller = live.without_item(item_id)
            self.storage.delete_item(item_id)
            self.live = smaller

    def add_likes(self, likes: Sequence[tuple[str, str]]) -> None:
        """Store likes and solve their users again.

        Raises:
            UnknownItemError: an item that nobody knows; Refusal: 409, a user whose earlier likes are not known.
        """
        with self._writing:
            live = self.live
            live.model._require("fold_in")
            for user, item in likes:
                if live.table.row(item) < 0:
                    raise UnknownItemError(item)
                if not live.model.likes_known and user in live.model.data.users:
                    raise Refusal(409, "the model was saved without likes, so this user cannot be solved again")
            solved = live.with_likes(likes)
            self.storage.add_likes(likes)
            self.live = solved

    def reload(self) -> None:
        """Take over the model folder as it is now; requests go on meanwhile, and none is dropped.

        Raises:
            Refusal: 409, a reload is under way; ModelFolderError: the folder cannot be used, the old model stays.
        """
        if not self._reloading.acquire(blocking=False):
            raise Refusal(409, "a reload is under way already")
        try:
            fresh = Live.start(self._load()).with_items(self.storage.items())
            with self._writing:  # what was written while the texts were read is few
                stored = self.storage.items()
                kept = {item.item_id for item in stored}
                for item in fresh.table.added:
                    if item.item_id not in kept:
                        fresh = fresh.without_item(item.item_id)
                self.live = fresh.with_items(stored).with_likes(self.storage.likes())
            self.reloads += 1
        finally:
            self._reloading.release()

    # ------------------------------------------------------------------ answers

    def recommend(
        self,
        live: Live,
        *,
        user: str | None,
        liked: Sequence[str] | None,
        k: int,
        exclude_seen: bool = True,
        tag: str | None = None,
    ) -> Ranked:
        """The best items for a user, or for somebody with these likes."""
        if user is not None:
            rep = live.user_rep(user)
            if exclude_seen and not live.model.likes_known and user in live.model.data.users:
                raise ArgumentError(
                    "the model was saved without likes: what a user has seen is not known; send exclude_seen false"
                )
            seen = live.liked_rows(user)
        else:
            reader, seen = live.newcomer(liked or ())
            rep = reader.rep
        return live.recommend(rep, seen if exclude_seen else seen[:0], k, tag)

    def item_or_text(self, live: Live, item: str | None, title: str, text: str) -> tuple[Any, int]:
        """Representation and row (−1: a new text) of what a request is about."""
        if item is None:
            return live.encode([StoredItem("text-1", title, text)]), -1
        row = live.table.row(item)
        if row < 0:
            raise UnknownItemError(item)
        return live.reps(_row(row)), row

    def tags(self, live: Live, title: str, text: str, k: int) -> list[tuple[str, float]]:
        """The likeliest tags of a text, with their probabilities."""
        live.model._require("tags")
        names = live.model.data.items.tag_names
        scores = live.model._tag_scores(build_items([StoredItem("text-1", title, text)]))
        if scores.shape[1] == 0:
            return []
        columns, values = top_k(scores, k)
        pairs = zip(columns[0].tolist(), values[0].tolist(), strict=True)
        return [(names[column], value) for column, value in pairs if column >= 0]

    def explain(
        self,
        live: Live,
        items: Sequence[str] | None,
        title: str,
        text: str,
        *,
        user: str | None,
        liked: Sequence[str] | None,
        tag: str | None,
    ) -> list[Explanation]:
        """Why items, or a text, have their scores for a user, for somebody with these likes, or for a tag."""
        if items:
            rows = [live.table.row(item) for item in items]
            if -1 in rows:
                raise UnknownItemError(items[rows.index(-1)])
            table, reps = live.table.as_items(rows), live.reps(_row(*rows))
        else:
            new = [StoredItem("text-1", title, text)]
            table, reps = build_items(new), live.encode(new)
        if tag is not None:
            live.model._require("tags")
            if tag not in live.model.data.items.tag_names:
                raise Refusal(404, f"unknown tag {tag!r}: the model predicts others")
            return explain_for(live.model, table, None, tag=tag)
        reader = live.reader(user) if user is not None else live.newcomer(liked or ())[0]
        return explain_for(live.model, table, reader, reps=reps)


def _row(*rows: int) -> Rows:
    return np.array(rows, np.int64)


def _is_new(live: Live, item: StoredItem) -> bool:
    row = live.table.row(item.item_id)
    if row < 0:
        return True
    there = live.table.item(row)
    same = (there.title, there.text) == (item.title, item.text)
    if row >= len(live.table.catalogue):
        same = same and there.tags == item.tags
    if not same:
        raise Refusal(
            409, f"item {item.item_id!r} is there with other contents; an id stands for one text: delete it first"
        )
    return False
