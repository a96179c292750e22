"""Baselines that score an item by its similarity to the liked ones: TF-IDF neighbours and EASE.

Shapes: `B` users of a block, `U` users, `I` items, `C` candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import lapack

from textrec.config import Config, bounded
from textrec.dataset import Csr, Dataset, Items, Rows
from textrec.errors import DataError
from textrec.learn.model import Capability, Checkpoint, Monitor
from textrec.learn.recommender import Recommender
from textrec.learn.representations import ROWS_AT_ONCE, dense, sparse_products
from textrec.models.tfidf import TfidfRows, csr_arrays, csr_from
from textrec.protocol.ranking import top_k
from textrec.protocol.splits import Fold
from textrec.text import Vocabulary

__all__ = ["Ease", "EaseConfig", "TfidfKnn", "TfidfKnnConfig"]

FloatArray = npt.NDArray[np.float32]

BLOCK_FLOATS = 1 << 22
"""Numbers of a dense block: 16 MB."""


@dataclass(frozen=True)
class TfidfKnnConfig(Config):
    """Configuration of `tfidf-knn`."""

    neighbours: int = bounded(1000, 1)
    """Liked training items that speak for an item: those nearest by cosine."""

    power: float = bounded(1.0, above=0.0)
    """The weight of a neighbour is its cosine to this power."""

    ngrams: int = bounded(2, 1, 2)
    """Longest word n-gram; a bag of words has single words only."""

    min_items: int = bounded(2, 1)
    """An n-gram in fewer training items than this is left out."""


class TfidfKnn(Recommender):
    """Item-based nearest neighbours (Sarwar et al. 2001) with the cosine of TF-IDF rows as the similarity.

    An item is represented twice: by the weights of its neighbours, and by what a like of it counts for: itself, or its
    neighbours when it is new. The score is the inner product of one with the sum of the other.
    """

    name = "tfidf-knn"
    summary = "item nearest neighbours by TF-IDF cosine (Sarwar et al. 2001)"
    capabilities: frozenset[Capability] = frozenset({"cold", "fold_in", "bag_of_words"})
    config_type = TfidfKnnConfig
    ranks_by_likes = True

    config: TfidfKnnConfig
    vocabulary: Vocabulary
    _reader: TfidfRows
    _rows: Csr  # [I, F]
    _neighbours: Csr = None  # [I, I] weights of the catalogue, made when they are first asked for

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        config = self.config
        self._reader, self._rows = TfidfRows.fit(
            train.items.documents, ngrams=config.ngrams, min_items=config.min_items, sublinear=True
        )
        self.vocabulary = self._reader.vocabulary
        self._refit_likes()

    def _refit_likes(self) -> None:
        self._neighbours = None

    def _nearest(self, rows: Csr, *, known: bool) -> Csr:
        """Weights of the nearest liked training items of each row [n, I]; a known item is not its own neighbour."""
        liked = np.flatnonzero(self.data.likes_per_item() > 0)
        known_rows = self._rows[liked]
        parts = []
        for start in range(0, rows.shape[0], ROWS_AT_ONCE):
            cosines = sparse_products(rows[start : start + ROWS_AT_ONCE], known_rows)
            if known:
                own = np.flatnonzero((liked >= start) & (liked < start + len(cosines)))
                cosines[liked[own] - start, own] = 0
            columns, values = top_k(cosines, min(self.config.neighbours, len(liked)))
            weights = np.maximum(values, 0) ** np.float32(self.config.power)
            shape = (len(cosines), self.data.n_items)
            places = np.repeat(np.arange(len(cosines)), columns.shape[1])
            parts.append(sp.csr_array((weights.ravel(), (places, liked[columns.ravel()])), shape=shape))
        found = sp.csr_array(sp.vstack(parts)) if parts else sp.csr_array((0, self.data.n_items), dtype=np.float32)
        found.eliminate_zeros()
        return found

    def _user_reps(self, users: Rows) -> Csr:
        return self.data.likes[users]

    def _known_reps(self, rows: Rows) -> Csr:
        if self._neighbours is None:
            self._neighbours = self._nearest(self._rows, known=True)
        itself = sp.csr_array(sp.eye_array(self.data.n_items, dtype=np.float32, format="csr")[rows])
        return sp.csr_array(sp.hstack([self._neighbours[rows], itself]))

    def _new_reps(self, items: Items) -> Csr:
        nearest = self._nearest(self._reader.rows(items.documents), known=False)
        return sp.csr_array(sp.hstack([nearest, nearest]))

    def _fold_in(self, likes: Csr, item_reps: Any) -> Csr:
        return sp.csr_array(likes @ item_reps[:, self.data.n_items :])

    def _score(self, user_reps: Any, item_reps: Any) -> FloatArray:
        return dense(user_reps @ sp.csc_array(item_reps[:, : self.data.n_items].T))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return self._reader.arrays() | csr_arrays("rows", self._rows)

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._reader = TfidfRows.restore(self.vocabulary, arrays, sublinear=True)
        self._rows = csr_from("rows", arrays, len(arrays["ngrams"]))


@dataclass(frozen=True)
class EaseConfig(Config):
    """Configuration of `ease`."""

    ridge: float = bounded(100.0, above=0.0)
    """λ, the ridge on the item-item weights."""

    most: int = bounded(20_000, 1)
    """Refuse to invert a matrix larger than this; its side is the number of users or of items, whichever is less."""


class Ease(Recommender):
    """Embarrassingly shallow autoencoder (Steck 2019): x B with B_jj = 0 and B the ridge regression of items on items.

    B = 1 − P diag(1/P_jj), P = (XᵀX + λ1)⁻¹ for likes X [U, I]. With fewer users than items the same P follows from
    M = (XXᵀ + λ1)⁻¹ [U, U] by Woodbury's identity, P = (1 − XᵀMX)/λ, and B is never made: CiteULike-a takes
    5,551² numbers in place of 16,980². Items are represented by their row numbers.
    """

    name = "ease"
    summary = "item-item ridge regression with a zero diagonal, closed form (EASE, Steck 2019)"
    capabilities: frozenset[Capability] = frozenset({"fold_in", "bag_of_words"})
    config_type = EaseConfig
    ranks_by_likes = True

    config: EaseConfig
    _inverse: FloatArray  # M [U, U], or P [I, I] where that is smaller
    _diagonal: FloatArray  # P_jj [I]
    _by_user: bool

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self._refit_likes()

    def _refit_likes(self) -> None:
        likes, ridge = self.data.likes, self.config.ridge
        self._by_user = likes.shape[0] < likes.shape[1]
        side = min(likes.shape)
        if side > self.config.most:
            raise DataError(
                f"{self.data.name or 'the data'}: ease would invert {side:,} × {side:,} numbers "
                f"({12 * side * side / 1e9:,.1f} GB at its peak), and most is {self.config.most:,}; raise most if the "
                "memory is there, or take als"
            )
        product = (likes @ likes.T if self._by_user else likes.T @ likes).toarray().astype(np.float64)
        product[np.diag_indices(side)] += ridge
        self._inverse = _inverted(product).astype(np.float32)
        if self._by_user:
            self._diagonal = (1 - _column_forms(likes, self._inverse)) / np.float32(ridge)
        else:
            self._diagonal = self._inverse.diagonal().copy()

    def _user_reps(self, users: Rows) -> Csr:
        return self.data.likes[users]

    def _known_reps(self, rows: Rows) -> Rows:
        return rows[:, None]

    def _fold_in(self, likes: Csr, item_reps: Any) -> Csr:
        rows = item_reps[:, 0]
        wide = sp.csr_array((likes.data, rows[likes.indices], likes.indptr), shape=(likes.shape[0], self.data.n_items))
        wide.sort_indices()
        return wide

    def _score(self, user_reps: Any, item_reps: Any) -> FloatArray:
        """x_j − (xP)_j / P_jj, of a block of users [B, C]."""
        columns = item_reps[:, 0]
        likes, scores = self.data.likes, np.empty((user_reps.shape[0], len(columns)), np.float32)
        wanted = sp.csc_array(likes[:, columns])
        step = max(1, BLOCK_FLOATS // max(likes.shape))
        for start in range(0, len(scores), step):
            x = user_reps[start : start + step]
            own = dense(x[:, columns])
            if self._by_user:
                projected = (own - dense(dense(x @ likes.T) @ self._inverse @ wanted)) / np.float32(self.config.ridge)
            else:
                projected = np.asarray(x @ self._inverse)[:, columns]
            scores[start : start + step] = own - projected / self._diagonal[columns]
        return scores

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"inverse": self._inverse, "diagonal": self._diagonal}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._inverse, self._diagonal = arrays["inverse"], arrays["diagonal"]
        self._by_user = self.data.n_users < self.data.n_items


def _inverted(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The inverse of a positive definite matrix, in its place."""
    factor, failed = lapack.dpotrf(matrix.T, lower=1, overwrite_a=1)
    assert not failed, "likes and a ridge above 0 make a positive definite matrix"
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    for start in range(0, len(inverse), ROWS_AT_ONCE):
        end = start + ROWS_AT_ONCE
        corner = inverse[start:end, start:end]
        corner[:] = np.tril(corner) + np.tril(corner, -1).T
        inverse[start:end, end:] = inverse[end:, start:end].T
    return np.asarray(inverse.T)  # in the order of rows


def _column_forms(likes: Csr, inverse: FloatArray) -> FloatArray:
    """x_jᵀ M x_j of every column of likes [I]."""
    forms = np.empty(likes.shape[1], np.float32)
    columns = sp.csc_array(likes)
    step = max(1, BLOCK_FLOATS // max(likes.shape[0], 1))
    for start in range(0, len(forms), step):
        part = columns[:, start : start + step]
        forms[start : start + step] = (part.multiply(inverse @ part)).sum(axis=0)
    return forms
