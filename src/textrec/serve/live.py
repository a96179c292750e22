"""A model at work: its catalogue and users, the items clients added, the users solved again with their new likes.

A `Live` never changes; what changes makes a new one. A request holds on to the one it began with, so it is answered
by one whole state, whatever happens meanwhile.

Shapes: `I` catalogue items, `A` added items, `K` factors, `n` rows of a call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Rows, binary_csr
from textrec.errors import UnknownItemError, UnknownUserError
from textrec.explanation import Reader
from textrec.learn.recommender import Recommender
from textrec.learn.representations import dense, stack, unit_rows
from textrec.retrieval.index import APPROXIMATE_ABOVE, SAMPLE, ItemIndex
from textrec.retrieval.top_products import best
from textrec.serve.items import Catalogue, ItemTable, build_items
from textrec.serve.problems import Refusal
from textrec.serve.storage import StoredItem

__all__ = ["Live", "Ranked"]

FloatArray = npt.NDArray[np.float32]
Ranked = list[tuple[int, float]]
"""Rows and scores, best first."""

CALIBRATED_AT = 50
"""Length of the lists whose recall the index is measured with."""

NO_ROWS: Rows = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Live:
    """The state that answers requests; `Live.start` makes the first."""

    model: Recommender
    table: ItemTable
    known_reps: Any  # [I, …]
    index: ItemIndex | None = None
    added_reps: Any = None  # [A, …]
    new_likes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # user → items, in the order of the likes
    solved: Mapping[str, Any] = field(default_factory=dict)  # user → one row, for every user with new likes

    @classmethod
    def start(cls, model: Recommender) -> Live:
        """A model without anything added."""
        reps = model._known_reps(np.arange(model.data.n_items))
        index = None
        if isinstance(reps, np.ndarray) and len(reps) > APPROXIMATE_ABOVE and model.scores_by_product:
            some = np.random.default_rng(0).permutation(model.data.n_users)[:SAMPLE]
            index = ItemIndex(reps, model._user_reps(some), CALIBRATED_AT, seen=model.data.likes[some])
        return cls(model, ItemTable(Catalogue(model.data.items)), reps, index)

    # ------------------------------------------------------------------ what changes

    def with_items(self, items: Sequence[StoredItem]) -> Live:
        """More items: read now, recommendable at once. Ids of the catalogue are left out: the model knows them."""
        fresh = [item for item in items if self.table.row(item.item_id) < 0]
        if not fresh:
            return self
        reps = self.encode(fresh)
        joined = reps if self.added_reps is None else stack(self.added_reps, reps)
        return dataclasses.replace(self, table=self.table.with_added(fresh), added_reps=joined)

    def without_item(self, item_id: str) -> Live:
        """One added item less; users who liked it are solved without it."""
        place = self.table.row(item_id) - len(self.table.catalogue)
        left = np.delete(np.arange(len(self.table.added)), place)
        reps = self.added_reps[left] if len(left) else None
        smaller = dataclasses.replace(self, table=self.table.without(item_id), added_reps=reps)
        return smaller.solve_again([user for user, items in self.new_likes.items() if item_id in items])

    def with_likes(self, likes: Iterable[tuple[str, str]]) -> Live:
        """More likes: their users, known or new, are solved again."""
        merged = dict(self.new_likes)
        touched: dict[str, None] = {}
        for user, item in likes:
            had = merged.get(user, ())
            if item not in had:
                merged[user] = (*had, item)
                touched[user] = None
        return dataclasses.replace(self, new_likes=merged).solve_again(list(touched))

    def solve_again(self, users: Sequence[str]) -> Live:
        """Users solved from all they like, items as they are."""
        if not users:
            return self
        liked = [self.liked_rows(user) for user in users]
        solved = dict(self.solved)
        columns, places = np.unique(np.concatenate(liked), return_inverse=True)
        if len(columns) == 0:
            for user in users:
                solved.pop(user, None)
            return dataclasses.replace(self, solved=solved)
        who = np.repeat(np.arange(len(users)), [len(rows) for rows in liked])
        likes = binary_csr(who, places, (len(users), len(columns)))
        reps = self.model._fold_in(likes, self.reps(columns))
        for place, (user, rows) in enumerate(zip(users, liked, strict=True)):
            solved[user] = reps[[place]]
            if len(rows) == 0:
                del solved[user]
        return dataclasses.replace(self, solved=solved)

    # ------------------------------------------------------------------ users

    def knows_user(self, user: str) -> bool:
        """Whether the user was trained or has likes here."""
        return user in self.solved or user in self.model.data.users

    def user_rep(self, user: str) -> Any:
        """One row.

        Raises:
            UnknownUserError: nobody of this name.
        """
        rep = self.solved.get(user)
        if rep is not None:
            return rep
        row = self.model.data.users.rows([user])
        if row[0] < 0:
            raise UnknownUserError(user)
        return self.model._user_reps(row)

    def liked_rows(self, user: str) -> Rows:
        """Rows of what a user likes, in training and since; likes of items that are gone are left out."""
        row = int(self.model.data.users.rows([user])[0])
        likes = self.model.data.likes
        trained = likes.indices[likes.indptr[row] : likes.indptr[row + 1]].astype(np.int64) if row >= 0 else NO_ROWS
        new = self.new_likes.get(user)
        if not new:
            return trained
        rows = np.array([self.table.row(item) for item in new], np.int64)
        return np.unique(np.concatenate([trained, rows[rows >= 0]]))

    def reader(self, user: str) -> Reader:
        """A user as reasons need to know them."""
        rows = self.liked_rows(user)
        names = [self.table.id_of(row) for row in rows.tolist()]
        titles = [self.table.label(row) for row in rows.tolist()]
        return Reader(user, self.user_rep(user), names, titles, self.reps(rows) if len(rows) else None)

    def newcomer(self, liked: Sequence[str]) -> tuple[Reader, Rows]:
        """Somebody who was never trained, by ids and texts, and the rows of the ids."""
        self.model._require("fold_in")
        strings = list(dict.fromkeys(liked))
        rows = np.array([self.table.row(string) for string in strings], np.int64)
        texts = [string for string, row in zip(strings, rows.tolist(), strict=True) if row < 0]
        for string in texts:
            if len(string.split()) < 2:
                raise UnknownItemError(string)
        known = rows[rows >= 0]
        parts = [self.reps(known)] if len(known) else []
        if texts:
            parts.append(self.encode([StoredItem(f"text-{n + 1}", "", string) for n, string in enumerate(texts)]))
        reps = parts[0] if len(parts) == 1 else stack(*parts)
        everything = binary_csr([0] * len(strings), range(len(strings)), (1, len(strings)))
        names = [self.table.id_of(row) for row in known.tolist()] + [f"text-{n + 1}" for n in range(len(texts))]
        titles = [self.table.label(row) for row in known.tolist()] + [text[:200] for text in texts]
        return Reader("new", self.model._fold_in(everything, reps), names, titles, reps), known

    # ------------------------------------------------------------------ items

    def encode(self, items: Sequence[StoredItem]) -> Any:
        """Representations of new texts [n, …]."""
        self.model._require("cold")
        return self.model._new_reps(build_items(items))

    def reps(self, rows: Rows) -> Any:
        """Representations of items of the table [n, …], in the order of the rows."""
        first = len(self.table.catalogue)
        late = rows >= first
        if not late.any():
            return self.known_reps[rows]
        if late.all():
            return self.added_reps[rows - first]
        joined = stack(self.known_reps[rows[~late]], self.added_reps[rows[late] - first])
        order = np.empty(len(rows), np.int64)
        order[np.concatenate([np.flatnonzero(~late), np.flatnonzero(late)])] = np.arange(len(rows))
        return joined[order]

    def scores(self, rep: Any) -> FloatArray:
        """Scores of all items for one user [I + A]."""
        known: FloatArray = self.model._score(rep, self.known_reps)[0]
        if self.added_reps is None:
            return known
        return np.concatenate([known, self.model._score(rep, self.added_reps)[0]])

    def recommend(self, rep: Any, seen: Rows, k: int, tag: str | None = None) -> Ranked:
        """The best items for one user."""
        if tag is None and self.index is not None and self.index.approximate:
            return self._near(rep, seen, k)
        scores = self.scores(rep)
        if tag is not None:
            tagged = self.table.tagged(tag)
            if tagged is None:
                raise Refusal(404, f"unknown tag {tag!r}: no item carries it")
            inside = np.full(len(scores), -np.inf, np.float32)
            inside[tagged] = scores[tagged]
            scores = inside
        scores[seen] = -np.inf
        return ranked(scores, k)

    def _near(self, rep: Any, seen: Rows, k: int) -> Ranked:
        assert self.index is not None
        first = len(self.table.catalogue)
        known = seen[seen < first]
        banned = binary_csr(np.zeros(len(known), np.int64), known, (1, first))
        found, scores = self.index.search(rep, k, seen=banned)
        rows, values = found[0][found[0] >= 0], scores[0][found[0] >= 0]
        if self.added_reps is not None:
            more = self.model._score(rep, self.added_reps)[0]
            more[seen[seen >= first] - first] = -np.inf
            rows = np.concatenate([rows, first + np.arange(len(more))])
            values = np.concatenate([values, more])
        order = best(values, k)
        return list(zip(rows[order].tolist(), values[order].tolist(), strict=True))

    def similar(self, rep: Any, row: int, k: int) -> Ranked:
        """The items nearest to one row of representations by cosine, `row` (−1: none) left out."""
        self.model._require("vectors")
        query = unit_rows(self.model._directions(rep))
        scores = dense(query @ self._unit_known.T)[0]
        if self.added_reps is not None:
            scores = np.concatenate([scores, dense(query @ unit_rows(self.model._directions(self.added_reps)).T)[0]])
        if row >= 0:
            scores[row] = -np.inf
        return ranked(scores, k)

    @cached_property
    def _unit_known(self) -> Any:
        return unit_rows(self.model._directions(self.known_reps))

    # ------------------------------------------------------------------ audiences

    @cached_property
    def _names(self) -> list[str]:
        return list(self.solved)

    @cached_property
    def _trained(self) -> Any:
        return self.model._user_reps(np.arange(self.model.data.n_users))

    @cached_property
    def _solved_reps(self) -> Any:
        return stack(*self.solved.values())

    @cached_property
    def _again(self) -> tuple[Rows, Rows]:
        """Rows of the trained users who were solved again, and their places among the solved."""
        rows = self.model.data.users.rows(self._names)
        return rows[rows >= 0], np.flatnonzero(rows >= 0)

    @cached_property
    def _new_likers(self) -> dict[str, list[int]]:
        """Places among the solved of those who newly like an item."""
        found: dict[str, list[int]] = {}
        for place, name in enumerate(self._names):
            for item in self.new_likes.get(name, ()):
                found.setdefault(item, []).append(place)
        return found

    def audience(self, rep: Any, row: int, k: int) -> list[tuple[str, float]]:
        """The users who would want one item most, those who like it already left out."""
        n_trained, (again, places) = self.model.data.n_users, self._again
        scores = self.model._score(self._trained, rep)[:, 0]
        scores[again] = -np.inf
        if self.solved:
            scores = np.concatenate([scores, self.model._score(self._solved_reps, rep)[:, 0]])
        if row >= 0:
            likes = self.model.data.likes
            known = np.repeat(np.arange(n_trained), np.diff(likes.indptr))[likes.indices == row]
            new = np.array(self._new_likers.get(self.table.id_of(row), ()), np.int64)
            scores[known] = -np.inf
            scores[n_trained + places[np.isin(again, known)]] = -np.inf
            scores[n_trained + new] = -np.inf
        users = self.model.data.users
        return [
            (users[place] if place < n_trained else self._names[place - n_trained], score)
            for place, score in ranked(scores, k)
        ]


def ranked(scores: FloatArray, k: int) -> Ranked:
    """The k best places and their scores."""
    rows = best(scores, k)
    return list(zip(rows.tolist(), scores[rows].tolist(), strict=True))
