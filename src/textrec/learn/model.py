"""What a model writes: how it fits, how users and items are represented, how a block of users is scored.

`learn.recommender` builds everything that a user calls on these hooks. Below the contract, everything is row numbers.

Shapes: `B` users of a block, `C` candidates, `K` factors, `U` users, `I` items, `G` tags.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from textrec.config import Config
from textrec.dataset import Csr, Dataset, Items, Rows
from textrec.errors import ArgumentError, CapabilityError, DataError
from textrec.learn.reasons import WordWeights, occlusion
from textrec.learn.representations import stack
from textrec.learn.selection import Selection
from textrec.protocol.splits import Fold
from textrec.registry import models_with
from textrec.text import Documents, Vocabulary

__all__ = ["Capability", "Checkpoint", "FitReport", "FloatArray", "Model", "Monitor"]

Capability = Literal["cold", "fold_in", "tags", "vectors", "gradients", "bag_of_words", "order"]
"""cold: ranks new items by their text · fold_in: recommends to users never trained · tags: predicts tags ·
vectors: items are vectors (`encode`, `similar`) · gradients: word saliency by gradient · bag_of_words: learns from
word counts · order: reads words in order, and therefore refuses a bag of words unless it has that capability too."""

Monitor = Callable[[Mapping[str, Any]], None]
"""Called with what training reports: `{"event": "epoch", "epoch": 3, "loss": …}`."""

FloatArray = npt.NDArray[np.float32]


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


class Model(ABC):
    """The hooks of every model and baseline.

    Args:
        config: an instance of the class's `config_type`, or None for the defaults.
        seed: of every random choice.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    capabilities: frozenset[Capability]  # those of a blend depend on its members
    config_type: ClassVar[type[Config]] = Config
    stops_early: ClassVar[bool] = False  # whether `fit` makes use of `validation`
    ranks_by_likes: ClassVar[bool] = False  # whether a user is the likes themselves: a folder cannot leave them out

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

    @property
    def scores_by_product(self) -> bool:
        """Whether scores are dot products, so that an index of item vectors finds the best."""
        return type(self)._score is Model._score

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

    def _text_reps(self, items: Items) -> Any:
        """Items by their words alone, whose weights add up to the score; `_new_reps` unless more is known of them."""
        return self._new_reps(items)

    def _fold_in(self, likes: Csr, item_reps: Any) -> Any:
        """User representations [n, …] from likes [n, C] over items with these representations (`fold_in`)."""
        raise NotImplementedError

    def _score(self, user_reps: Any, item_reps: Any) -> FloatArray:
        """Scores [B, C]; a dot product unless a model says otherwise."""
        return np.asarray(user_reps @ item_reps.T, np.float32)

    def _directions(self, item_reps: Any) -> Any:
        """The part of item representations that `similar` compares; all of it unless a model says otherwise."""
        return item_reps

    def _encode(self, items: Items) -> FloatArray:
        """Text vectors [n, K] (`vectors`)."""
        raise NotImplementedError

    def _tag_scores(self, items: Items) -> FloatArray:
        """Score of every tag of the catalogue for each text [n, G] (`tags`)."""
        raise NotImplementedError

    def _word_weights(self, items: Items, *, user: Any = None, tag: int | None = None) -> WordWeights:
        """Weight of every word of the texts for the score of one user (`_user_reps` of one row) or of one tag.

        Unless a model knows better, the weight of a word is what the score loses without it (`cold` or `tags`).
        """

        def score(documents: Documents) -> FloatArray:
            texts = Items.build(map(str, range(len(documents))), documents=documents)
            if tag is not None:
                return np.asarray(self._tag_scores(texts)[:, tag], np.float32)
            return np.asarray(self._score(user, self._text_reps(texts))[0], np.float32)

        return WordWeights(occlusion(items.documents, score))

    def _like_shares(self, liked: Any, targets: Any) -> FloatArray | None:
        """Shares [L, n] of the likes (`_item_reps` of L items) in the scores of n items, which add up to the score.

        None: the model's score is no sum over likes.
        """
        return None

    def _complete(self, train: Dataset, validation: Fold, monitor: Monitor | None) -> None:
        """Fitted to `validation.train`, learn from all of `train`: anew, unless a model knows how to go on."""
        before = self.report.tokens_encoded
        self.fit(train, validation=validation, monitor=monitor)
        self.report.tokens_encoded += before

    def _refit_likes(self) -> None:
        """Recompute what follows from `self.data.likes` without touching what was learnt from text."""
        raise NotImplementedError

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The learnt arrays, for the model folder."""

    @abstractmethod
    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """The inverse of `_arrays`; `self.data` and `self.vocabulary` are already set."""

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
        self.check_data(train)
        self.data = train
        self.likes_known = True
        self._fit(train, validation, monitor, checkpoint)
        return self

    def check_data(self, train: Dataset) -> None:
        """Refuse data that `fit` cannot learn from; its errors."""
        if not train.items.documents.ordered and "bag_of_words" not in self.capabilities:
            reason = "it reads words in order and the data hold word counts only"
            raise CapabilityError(self.name, "bag_of_words", models_with("bag_of_words"), reason)
        if train.n_likes == 0:
            raise DataError(f"{train.name or 'the data'}: there are no likes to learn from")

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
