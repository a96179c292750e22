"""The contract of every model: one base class that validates, resolves ids, blocks and ranks.

External ids enter and leave here; below, everything is row numbers (`learn.model` holds what a model writes).

Shapes: `B` users of a block, `C` candidates, `K` factors, `U` users, `I` items, `G` tags.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import polars as pl

from textrec.dataset import Csr, Ids, Items, Rows, binary_csr
from textrec.errors import (
    ArgumentError,
    CapabilityError,
    DataError,
    TextrecWarning,
    UnknownItemError,
    UnknownUserError,
)
from textrec.learn.lists import NOTHING, check_k, ranked_frame
from textrec.learn.model import Capability, FloatArray, Model
from textrec.learn.representations import dense, unit_rows
from textrec.learn.selection import Selection, as_new_items, select
from textrec.protocol.ranking import rank_blocks, top_k
from textrec.registry import models_with

__all__ = ["Recommender"]

SCORE_BLOCK_BYTES = 1 << 26
"""A block of scores takes about this much memory, whatever the number of users and items."""


class Recommender(Model):
    """Base of every model and baseline: what a user calls, on top of the hooks of `learn.model.Model`."""

    def score(self, users: Sequence[str] | None, items: Any = None) -> FloatArray:
        """Scores of items for users, higher is better: all that ranking needs.

        Args:
            users: user ids [B], or None for all.
            items: ids, texts, a table or `Items` [C]; None for the catalogue.

        Returns:
            float32 [B, C]. The whole block is made at once: rank many users with `recommend`.
        """
        rows = self._user_rows(users)
        return self._score(self._user_reps(rows), self._item_reps(self.select(items)))

    def recommend(
        self,
        users: Sequence[str] | str | None = None,
        *,
        liked: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        k: int = 10,
        items: Any = None,
        exclude_seen: bool = True,
    ) -> pl.DataFrame:
        """The best items for users, ties by the order of the candidates.

        Args:
            users: user ids, one id, or None for all users (unless `liked` is given).
            liked: what a user who was never trained likes: ids of the catalogue or texts; or several such users by
                name. A string is an id when the catalogue has it, and a text when it holds white space.
            k: how many, ≥ 1; when there are fewer candidates all of them come, with a warning.
            items: the candidates: ids, texts, a table, `Items`; None for the catalogue.
            exclude_seen: leave out what the user already liked.

        Returns:
            A frame `user_id, rank, item_id, score`, rank from 1; without a name the user of `liked` is "new".

        Raises:
            TextrecError: an unknown user or item, a bad argument, or something the model cannot do.
        """
        blocks = self.recommend_blocks(users, liked=liked, k=k, items=items, exclude_seen=exclude_seen)
        return pl.concat(list(blocks))

    def recommend_blocks(
        self,
        users: Sequence[str] | str | None = None,
        *,
        liked: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        k: int = 10,
        items: Any = None,
        exclude_seen: bool = True,
    ) -> Iterator[pl.DataFrame]:
        """`recommend` as a stream of frames, one a block of users: memory does not grow with the users."""
        if users is not None and liked is not None:
            raise ArgumentError("give users or liked, not both: liked describes a user who was never trained")
        selection = self._candidates(items, k)
        if liked is None:
            if exclude_seen and not self.likes_known:
                raise ArgumentError(
                    "this model was saved without likes, so what a user has seen is not known; "
                    "pass exclude_seen=False (on the command line --include-seen)"
                )
            rows = self._user_rows([users] if isinstance(users, str) else users)
            names, represent, seen = self.data.users, self._user_reps, self.data.likes
        else:
            names, folded, seen = self._folded(liked)
            rows, represent = np.arange(len(names)), folded.__getitem__
        # before the first list is asked for, everything is checked and nothing computed
        yield ranked_frame("user_id", names.names(rows[:0]), "item_id", selection.ids, *NOTHING)
        item_reps = self._item_reps(selection)
        ranked = rank_blocks(
            lambda block: self._score(represent(block), item_reps),
            rows,
            len(selection),
            seen=selection.columns_of(seen) if exclude_seen else None,
            k=k,
        )
        for block, columns, values in ranked:
            yield ranked_frame("user_id", names.names(block), "item_id", selection.ids, columns, values)

    def scorer(self, items: Any) -> tuple[Callable[[Rows], FloatArray], Selection]:
        """For evaluation: a function from user rows [B] to scores [B, C] of candidates that are represented once."""
        selection = self.select(items)
        item_reps = self._item_reps(selection)
        return lambda block: self._score(self._user_reps(block), item_reps), selection

    def audience(self, items: Any, k: int = 10, *, exclude_seen: bool = True) -> pl.DataFrame:
        """The users who would want these items most.

        Args:
            items: ids, texts, a table or `Items`.
            k: users an item, ≥ 1.
            exclude_seen: leave out users who already liked the item.

        Returns:
            A frame `item_id, rank, user_id, score`; texts without an id are named `text-1`, `text-2`, …
        """
        check_k(k, self.data.n_users, "users")
        selection = self.select(items)
        step = max(1, SCORE_BLOCK_BYTES // (4 * max(self.data.n_users, 1)))
        everyone = self._user_reps(np.arange(self.data.n_users))
        frames = []
        for start in range(0, len(selection), step):
            part = selection.part(start, start + step)
            scores = np.ascontiguousarray(self._score(everyone, self._item_reps(part)).T)
            if exclude_seen and self.likes_known:
                user, column = part.columns_of(self.data.likes).nonzero()
                scores[column, user] = -np.inf
            columns, values = top_k(scores, k)
            frames.append(ranked_frame("item_id", part.ids, "user_id", self.data.users.values, columns, values))
        return pl.concat(frames)

    def similar(self, items: Any, k: int = 10) -> pl.DataFrame:
        """The catalogue's nearest items by the cosine of their vectors (`vectors`).

        Returns:
            A frame `item_id, rank, similar_id, score`; an item is not its own neighbour.
        """
        self._require("vectors")
        check_k(k, self.data.n_items, "items")
        selection = self.select(items)
        catalogue = unit_rows(self._directions(self._item_reps(self.select(None))))
        queries = unit_rows(self._directions(self._item_reps(selection)))
        own = binary_csr(
            np.flatnonzero(selection.rows >= 0),
            selection.rows[selection.rows >= 0],
            (len(selection), self.data.n_items),
        )
        ranked = rank_blocks(
            lambda block: dense(queries[block] @ catalogue.T),
            np.arange(len(selection)),
            self.data.n_items,
            seen=own,
            k=k,
        )
        known = self.data.items.ids.values
        return pl.concat(
            [
                ranked_frame("item_id", selection.ids.gather(block), "similar_id", known, columns, values)
                for block, columns, values in ranked
            ]
        )

    def encode(self, texts: Any) -> FloatArray:
        """Text vectors float32 [n, K] (`vectors`): texts, a table or `Items`; what is known about likes stays out."""
        self._require("vectors")
        return self._encode(self._texts(texts))

    def predict_tags(self, texts: Any, k: int = 10) -> pl.DataFrame:
        """The likeliest tags of texts (`tags`).

        Returns:
            A frame `item_id, rank, tag, score`.
        """
        self._require("tags")
        names = self.data.items.tag_names
        check_k(k, len(names), "tags")
        items = self._texts(texts)
        columns, values = top_k(self._tag_scores(items), k)
        return ranked_frame("item_id", items.ids.values, "tag", names.values, columns, values)

    def tag_scores(self, texts: Any) -> FloatArray:
        """Score of every tag of the catalogue for each text, float32 [n, G] (`tags`)."""
        self._require("tags")
        return self._tag_scores(self._texts(texts))

    def update(self, likes: Any) -> Self:
        """Take in new likes, of known or new users: factors are solved again, the encoder stays as it is.

        Args:
            likes: a frame with the columns `user_id` and `item_id` (polars, pandas, Arrow, or a mapping of columns).

        Raises:
            UnknownItemError: a like of an item outside the catalogue.
        """
        if not self.likes_known:
            raise ArgumentError("this model was saved without likes; it cannot be updated, train it again")
        frame = pl.DataFrame(likes)
        missing = [name for name in ("user_id", "item_id") if name not in frame.columns]
        if missing:
            raise DataError(f"new likes lack the column {missing[0]!r}; they have {', '.join(frame.columns)}")
        user_ids = frame["user_id"].cast(pl.String)
        item_ids = frame["item_id"].cast(pl.String).to_list()
        item_rows = self.data.items.ids.rows(item_ids)
        if (item_rows < 0).any():
            raise UnknownItemError(item_ids[int(np.argmax(item_rows < 0))])
        users = Ids(pl.concat([self.data.users.values, user_ids]).unique(maintain_order=True))
        old = self.data.likes.tocoo()
        merged = binary_csr(
            np.concatenate([old.row, users.rows(user_ids)]),
            np.concatenate([old.col, item_rows]),
            (len(users), self.data.n_items),
        )
        self.data = replace(self.data, users=users, likes=merged, timestamps=None)
        self._refit_likes()
        return self

    # ------------------------------------------------------------------ resolving and checking

    def select(self, items: Any) -> Selection:
        """Resolve ids, texts, a table or `Items` against the catalogue.

        An id the model knows means the item it knows, whatever text stands beside it.

        Raises:
            UnknownItemError: an unknown id without a text.
            CapabilityError: new items for a model that cannot rank them.
        """
        selection = select(self.data.items, items)
        if selection.new is not None:
            self._require("cold")
            self._check_readable(selection.new)
        return selection

    def _texts(self, texts: Any) -> Items:
        items = as_new_items(texts)
        self._check_readable(items)
        return items

    def _check_readable(self, items: Items) -> None:
        if not items.documents.ordered and "bag_of_words" not in self.capabilities:
            reason = "it reads words in order and these items hold word counts only"
            raise CapabilityError(self.name, "bag_of_words", models_with("bag_of_words"), reason)
        empty = int((items.documents.lengths == 0).sum())
        if empty:
            warnings.warn(f"{empty:,} of {len(items):,} new items have an empty text", TextrecWarning, stacklevel=4)

    def _candidates(self, items: Any, k: int) -> Selection:
        selection = self.select(items)
        check_k(k, len(selection), "candidates")
        return selection

    def _user_rows(self, users: Sequence[str] | None) -> Rows:
        if users is None:
            return np.arange(self.data.n_users)
        rows = self.data.users.rows(users)
        if (rows < 0).any():
            raise UnknownUserError(str(users[int(np.argmax(rows < 0))]))
        return rows

    def _require(self, capability: Capability) -> None:
        if capability not in self.capabilities:
            raise CapabilityError(self.name, capability, models_with(capability))

    def _folded(self, liked: Sequence[str] | Mapping[str, Sequence[str]]) -> tuple[Ids, Any, Csr]:
        """Names, representations and catalogue likes of users who were never trained."""
        self._require("fold_in")
        people = liked if isinstance(liked, Mapping) else {"new": [liked] if isinstance(liked, str) else liked}
        if not people or not all(len(strings) for strings in people.values()):
            raise ArgumentError("liked must name at least one item id or text for each user, got none")
        strings = list(dict.fromkeys(string for one in people.values() for string in one))
        selection = self.select(strings)
        column = {string: place for place, string in enumerate(strings)}
        pairs = [(row, column[string]) for row, one in enumerate(people.values()) for string in one]
        users, columns = np.array(pairs).T
        likes = binary_csr(users, columns, (len(people), len(strings)))
        known = np.flatnonzero(selection.rows >= 0)
        user, place = likes[:, known].nonzero()
        seen = binary_csr(user, selection.rows[known][place], (len(people), self.data.n_items))
        return Ids(people), self._fold_in(likes, self._item_reps(selection)), seen
