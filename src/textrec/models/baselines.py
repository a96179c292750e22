"""Baselines that every learnt model has to beat: popularity and the TF-IDF user profile.

Shapes: `U` users, `I` items, `F` n-grams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer

from textrec.config import Config, bounded
from textrec.dataset import Csr, Dataset, Items, Rows
from textrec.learn.model import Capability, Checkpoint, Monitor
from textrec.learn.reasons import WordWeights
from textrec.learn.recommender import Recommender
from textrec.learn.representations import dense, unit_rows
from textrec.models.ngrams import NgramIndex, entries, ngram_counts, ngram_places
from textrec.protocol.splits import Fold
from textrec.text import Vocabulary

_PROFILES_AT_ONCE = 128

__all__ = ["Popularity", "TfidfConfig", "TfidfProfile"]


class Popularity(Recommender):
    """Score = number of training likes of the item, the same for every user."""

    name = "popularity"
    summary = "the items most people like, the same for everybody"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"fold_in", "bag_of_words"})

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
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"cold", "fold_in", "vectors", "bag_of_words"})
    config_type = TfidfConfig

    config: TfidfConfig
    vocabulary: Vocabulary
    _index: NgramIndex
    _weights: TfidfTransformer
    _items: Csr  # [I, F] rows of length 1
    _profiles: Csr  # [U, F] rows of length 1

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self.vocabulary = Vocabulary.build(train.items.documents, min_count=1)
        documents = self.vocabulary.recode(train.items.documents)
        longest = self.config.ngrams if documents.ordered else 1
        self._index, counts = NgramIndex.build(documents, longest=longest, min_items=self.config.min_items)
        self._weights = TfidfTransformer(sublinear_tf=self.config.sublinear).fit(counts)
        self._items = _float32(self._weights.transform(counts))
        self._refit_likes()

    def _refit_likes(self) -> None:
        self._profiles = unit_rows(sp.csr_array(self.data.likes @ self._items))

    def _user_reps(self, users: Rows) -> Csr:
        return self._profiles[users]

    def _known_reps(self, rows: Rows) -> Csr:
        return self._items[rows]

    def _new_reps(self, items: Items) -> Csr:
        counts = ngram_counts(self.vocabulary.recode(items.documents), self._index)
        return _float32(self._weights.transform(counts))

    def _fold_in(self, likes: Csr, item_reps: Any) -> Csr:
        return unit_rows(sp.csr_array(likes @ item_reps))

    def _score(self, user_reps: Any, item_reps: Any) -> npt.NDArray[np.float32]:
        # Items stay sparse, profiles are made dense a few at a time: sparse × sparse is ten times slower here, and
        # more than about a hundred dense profiles fall out of the cache.
        scores = np.empty((user_reps.shape[0], item_reps.shape[0]), np.float32)
        for start in range(0, len(scores), _PROFILES_AT_ONCE):
            part = slice(start, start + _PROFILES_AT_ONCE)
            scores[part] = (item_reps @ np.ascontiguousarray(dense(user_reps[part]).T)).T
        return scores

    def _word_weights(self, items: Items, *, user: Any = None, tag: int | None = None) -> WordWeights:
        """An n-gram adds its weight in the text times that in the profile, shared by its places and their words."""
        documents = self.vocabulary.recode(items.documents)
        places = ngram_places(documents, self._index)
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
        return {
            "ngrams": self._index.keys,
            "idf": self._weights.idf_,
            **_csr_arrays("items", self._items),
            **_csr_arrays("profiles", self._profiles),
        }

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._index = NgramIndex(arrays["ngrams"], len(self.vocabulary))
        self._weights = TfidfTransformer(sublinear_tf=self.config.sublinear)
        self._weights.idf_ = arrays["idf"]
        self._items = _csr_from("items", arrays, len(arrays["ngrams"]))
        self._profiles = _csr_from("profiles", arrays, len(arrays["ngrams"]))


def _float32(matrix: Any) -> Csr:
    return sp.csr_array(matrix).astype(np.float32)


def _csr_arrays(name: str, matrix: Csr) -> dict[str, npt.NDArray[Any]]:
    return {f"{name}.{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}


def _csr_from(name: str, arrays: dict[str, npt.NDArray[Any]], n_columns: int) -> Csr:
    starts = arrays[f"{name}.indptr"]
    parts = (arrays[f"{name}.data"], arrays[f"{name}.indices"], starts)
    return sp.csr_array(parts, shape=(len(starts) - 1, n_columns))
