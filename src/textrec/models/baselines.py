"""Baselines that every learnt model has to beat: popularity and the TF-IDF user profile.

Shapes: `U` users, `I` items, `F` n-grams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.config import Config, bounded
from textrec.dataset import Csr, Dataset, Items, Rows
from textrec.learn.model import Capability, Checkpoint, Monitor
from textrec.learn.reasons import WordWeights
from textrec.learn.recommender import Recommender
from textrec.learn.representations import dense, sparse_products, unit_rows
from textrec.models.ngrams import entries, ngram_places
from textrec.models.tfidf import TfidfRows, csr_arrays, csr_from
from textrec.protocol.splits import Fold
from textrec.text import Vocabulary

__all__ = ["Popularity", "TfidfConfig", "TfidfProfile"]


class Popularity(Recommender):
    """Score = number of training likes of the item, the same for every user."""

    name = "popularity"
    summary = "the items most people like, the same for everybody"
    capabilities: frozenset[Capability] = frozenset({"fold_in", "bag_of_words"})

    _counts: npt.NDArray[np.float32]  # [I]

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self._refit_likes()

    def _refit_likes(self) -> None:
        self._counts = self.data.likes_per_item().astype(np.float32)

    def _user_reps(self, users: Rows) -> npt.NDArray[np.float32]:
        return np.ones((len(users), 1), np.float32)

    def _known_reps(self, rows: Rows) -> npt.NDArray[np.float32]:
        return self._counts[rows, None]

    def _fold_in(self, likes: Csr, item_reps: Any) -> npt.NDArray[np.float32]:
        return np.ones((likes.shape[0], 1), np.float32)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"counts": self._counts}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._counts = arrays["counts"]


@dataclass(frozen=True)
class TfidfConfig(Config):
    """Configuration of the TF-IDF user profile."""

    ngrams: int = bounded(2, 1, 2)
    """Longest word n-gram; a bag of words has single words only."""

    min_items: int = bounded(2, 1)
    """An n-gram in fewer training items than this is left out."""

    sublinear: bool = True
    """Use 1 + log(count) in place of the count."""


class TfidfProfile(Recommender):
    """The yardstick: cosine between an item's TF-IDF row and the sum of the rows a user liked (content-based, §2)."""

    name = "tfidf"
    summary = "TF-IDF user profile: cosine between a text and the sum of the texts a user liked"
    capabilities: frozenset[Capability] = frozenset({"cold", "fold_in", "vectors", "bag_of_words"})
    config_type = TfidfConfig

    config: TfidfConfig
    vocabulary: Vocabulary
    _texts_to_rows: TfidfRows
    _items: Csr  # [I, F] rows of length 1
    _profiles: Csr  # [U, F] rows of length 1

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        config = self.config
        self._texts_to_rows, self._items = TfidfRows.fit(
            train.items.documents, ngrams=config.ngrams, min_items=config.min_items, sublinear=config.sublinear
        )
        self.vocabulary = self._texts_to_rows.vocabulary
        self._refit_likes()

    def _refit_likes(self) -> None:
        self._profiles = unit_rows(sp.csr_array(self.data.likes @ self._items))

    def _user_reps(self, users: Rows) -> Csr:
        return self._profiles[users]

    def _known_reps(self, rows: Rows) -> Csr:
        return self._items[rows]

    def _new_reps(self, items: Items) -> Csr:
        return self._texts_to_rows.rows(items.documents)

    def _fold_in(self, likes: Csr, item_reps: Any) -> Csr:
        return unit_rows(sp.csr_array(likes @ item_reps))

    def _score(self, user_reps: Any, item_reps: Any) -> npt.NDArray[np.float32]:
        return sparse_products(user_reps, item_reps)

    def _word_weights(self, items: Items, *, user: Any = None, tag: int | None = None) -> WordWeights:
        """An n-gram adds its weight in the text times that in the profile, shared by its places and their words."""
        documents = self.vocabulary.recode(items.documents)
        places = ngram_places(documents, self._texts_to_rows.index)
        texts = self._new_reps(items)
        products = entries(sp.csr_array(texts.multiply(dense(user))), places.row, places.column)
        weights = np.bincount(places.token, products * places.part, len(documents.ids))
        return WordWeights(weights.astype(np.float32))

    def _like_shares(self, liked: Any, targets: Any) -> npt.NDArray[np.float32]:
        profile = np.asarray(liked.sum(axis=0), np.float32)
        length = float(np.linalg.norm(profile))
        return dense(liked @ targets.T) / (length or 1.0)

    def _encode(self, items: Items) -> npt.NDArray[np.float32]:
        return dense(self._new_reps(items))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        own = csr_arrays("items", self._items) | csr_arrays("profiles", self._profiles)
        return self._texts_to_rows.arrays() | own

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._texts_to_rows = TfidfRows.restore(self.vocabulary, arrays, sublinear=self.config.sublinear)
        self._items = csr_from("items", arrays, len(arrays["ngrams"]))
        self._profiles = csr_from("profiles", arrays, len(arrays["ngrams"]))
