"""The contract of every model: one base class that validates, resolves ids, blocks and ranks.

A model writes only its mathematics: how it fits, how users and items are represented, and how a block of users is
scored against items. External ids enter and leave here; below, everything is row numbers.

Shapes: `B` users of a block, `C` candidates, `K` factors, `U` users, `I` items, `G` tags.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from textrec.config import Config
from textrec.dataset import Csr, Dataset, Ids, Items, Rows, binary_csr
from textrec.errors import (
    ArgumentError,
    CapabilityError,
    DataError,
    TextrecWarning,
    UnknownItemError,
    UnknownUserError,
)
from textrec.learn.representations import dense, stack, unit_rows
from textrec.learn.selection import Selection, as_new_items, select
from textrec.protocol.ranking import rank_blocks, top_k
from textrec.protocol.splits import Fold
from textrec.registry import models_with
from textrec.text import Vocabulary

__all__ = ["Capability", "Checkpoint", "FitReport", "Monitor", "Recommender"]

Capability = Literal["cold", "fold_in", "tags", "vectors", "gradients", "bag_of_words", "order"]
"""cold: ranks new items by their text · fold_in: recommends to users never trained · tags: predicts tags ·
vectors: items are vectors (`encode`, `similar`) · gradients: word saliency by gradient · bag_of_words: learns from
word counts · order: reads words in order, and therefore refuses a bag of words unless it has that capability too."""

Monitor = Callable[[Mapping[str, Any]], None]
"""Called with what training reports: `{"event": "epoch", "epoch": 3, "loss": …}`."""

FloatArray = npt.NDArray[np.float32]
SCORE_BLOCK_BYTES = 1 << 26
"""A block of scores takes about this much memory, whatever the number of users and items."""


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often training saves itself."""

    folder: Path
    every_seconds: float = 60.0
    resume: bool = False


@dataclass
class FitReport:
    """What fitting cost and where it stopped."""

    epochs: int = 0
    best_epoch: int = 0
    validation: float | None = None  # the best value of the stopping metric
    tokens_encoded: int = 0
    interrupted: bool = False


class Recommender(ABC):
    """Base of every model and baseline.

    Args:
        config: an instance of the class's `config_type`, or None for the defaults.
        seed: of every random choice.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]]
    config_type: ClassVar[type[Config]] = Config
    stops_early: ClassVar[bool] = False  # whether `fit` makes use of `validation`

    data: Dataset  # what the model was trained on: its users, catalogue and likes
    vocabulary: Vocabulary | None = None  # the words it knows
    likes_known: bool = True  # False in a model folder saved without likes
    report: FitReport

    def __init__(self, config: Config | None = None, *, seed: int = 0, device: str = "auto") -> None:
        config = self.config_type() if config is None else config
        if not isinstance(config, self.config_type):
            wanted = self.config_type.__name__
            raise ArgumentError(f"config of {self.name!r} must be a {wanted}, got {type(config).__name__}")
        self.config: Any = config
        self.seed = seed
        self.device = device
        self.report = FitReport()

    # ------------------------------------------------------------------ what a model writes

    @abstractmethod
    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        """Learn from `train`; `self.data` is already set to it."""

    @abstractmethod
    def _user_reps(self, users: Rows) -> Any:
        """What `_score` needs of these users; the first axis is users."""

    @abstractmethod
    def _known_reps(self, rows: Rows) -> Any:
        """What `_score` needs of these catalogue items; the first axis is items (array or sparse)."""

    def _new_reps(self, items: Items) -> Any:
        """The same for items nobody has liked, from their text alone (`cold`)."""
        raise NotImplementedError

    def _fold_in(self, likes: Csr, item_reps: Any) -> Any:
        """User representations [n, …] from likes [n, C] over items with these representations (`fold_in`)."""
        raise NotImplementedError

    def _score(self, user_reps: Any, item_reps: Any) -> FloatArray:
        """Scores [B, C]; a dot product unless a model says otherwise."""
        return np.asarray(user_reps @ item_reps.T, np.float32)

    def _encode(self, items: Items) -> FloatArray:
        """Text vectors [n, K] (`vectors`)."""
        raise NotImplementedError

    def _tag_scores(self, items: Items) -> FloatArray:
        """Score of every tag of the catalogue for each text [n, G] (`tags`)."""
        raise NotImplementedError

    def _refit_likes(self) -> None:
        """Recompute what follows from `self.data.likes` without touching what was learnt from text."""
        raise NotImplementedError

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The learnt arrays, for the model folder."""

    @abstractmethod
    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """The inverse of `_arrays`; `self.data` and `self.vocabulary` are already set."""

    # ------------------------------------------------------------------ what a user calls

    def fit(
        self,
        train: Dataset,
        *,
        validation: Fold | None = None,
        monitor: Monitor | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Self:
        """Learn from likes, texts and tags.

        Args:
            train: everything that may be read.
            validation: a part held out of `train` that decides when to stop (`protocol.splits.hold_out`);
                after that the factors are solved again with all of `train`.
            monitor: told of progress.
            checkpoint: where to save progress, and whether to resume.

        Raises:
            CapabilityError: a model that reads words in order was given a bag of words.
            DataError: there are no likes.
        """
        if not train.items.documents.ordered and "bag_of_words" not in self.capabilities:
            reason = "it reads words in order and the data hold word counts only"
            raise CapabilityError(self.name, "bag_of_words", models_with("bag_of_words"), reason)
        if train.n_likes == 0:
            raise DataError(f"{train.name or 'the data'}: there are no likes to learn from")
        self.data = train
        self.likes_known = True
        self._fit(train, validation, monitor, checkpoint)
        return self

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
            UnknownUserError, UnknownItemError, ArgumentError, CapabilityError
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
        item_reps = self._item_reps(selection)
        ranked = rank_blocks(
            lambda block: self._score(represent(block), item_reps),
            rows,
            len(selection),
            seen=selection.columns_of(seen) if exclude_seen else None,
            k=k,
        )
        yield _ranked_frame("user_id", names.names(rows[:0]), "item_id", selection.ids, *_nothing())
        for block, columns, values in ranked:
            yield _ranked_frame("user_id", names.names(block), "item_id", selection.ids, columns, values)

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
        _check_k(k, self.data.n_users, "users")
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
            frames.append(_ranked_frame("item_id", part.ids, "user_id", self.data.users.values, columns, values))
        return pl.concat(frames)

    def similar(self, items: Any, k: int = 10) -> pl.DataFrame:
        """The catalogue's nearest items by the cosine of their vectors (`vectors`).

        Returns:
            A frame `item_id, rank, similar_id, score`; an item is not its own neighbour.
        """
        self._require("vectors")
        _check_k(k, self.data.n_items, "items")
        selection = self.select(items)
        catalogue = unit_rows(self._item_reps(self.select(None)))
        queries = unit_rows(self._item_reps(selection))
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
                _ranked_frame("item_id", selection.ids.gather(block), "similar_id", known, columns, values)
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
        _check_k(k, len(names), "tags")
        items = self._texts(texts)
        columns, values = top_k(self._tag_scores(items), k)
        return _ranked_frame("item_id", items.ids.values, "tag", names.values, columns, values)

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
        _check_k(k, len(selection), "candidates")
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

    def _item_reps(self, selection: Selection) -> Any:
        if selection.new is None:
            return self._known_reps(selection.rows)
        new = self._new_reps(selection.new)
        if len(selection.new) == len(selection):
            return new
        known = selection.rows >= 0
        joined = stack(self._known_reps(selection.rows[known]), new)
        order = np.empty(len(selection), np.int64)
        order[np.concatenate([np.flatnonzero(known), np.flatnonzero(~known)])] = np.arange(len(selection))
        return joined[order]

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


def _check_k(k: int, available: int, what: str) -> None:
    if isinstance(k, bool) or k < 1:
        raise ArgumentError(f"k must be a whole number of at least 1, got {k!r}")
    if k > available:
        message = f"k is {k:,} and there are {available:,} {what}; all of them are returned"
        warnings.warn(message, TextrecWarning, stacklevel=4)


def _ranked_frame(
    key: str, keys: pl.Series, value: str, values: pl.Series, columns: Rows, scores: FloatArray
) -> pl.DataFrame:
    """Top lists [n, k] (column −1: nothing) as a frame `key, rank, value, score`."""
    row, place = np.nonzero(columns >= 0)
    return pl.DataFrame(
        {
            key: keys.gather(row),
            "rank": (place + 1).astype(np.int32),
            value: values.gather(columns[row, place]),
            "score": scores[row, place].astype(np.float32),
        }
    )


def _nothing() -> tuple[Rows, FloatArray]:
    return np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32)
