"""Models whose users are solved exactly from their likes: scores, new users, and each like's share of a score.

Shapes: `K` factors, `U` users, `I` items, `L` likes of a user, `n` items of a call.
"""

from __future__ import annotations

from abc import ABC
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from textrec.dataset import Csr, Rows
from textrec.learn.alternation import popularity_weights
from textrec.learn.factors import solve_fold_in
from textrec.learn.reasons import like_shares
from textrec.learn.recommender import Recommender
from textrec.learn.squared_loss import gram_matrix
from textrec.learn.tensors import to_tensor

__all__ = ["SolvedModel"]

FloatArray = npt.NDArray[np.float32]


class _Pool(NamedTuple):
    """What the solve of one user needs to know of all items, and what it was made from."""

    items: FloatArray
    likes: Csr
    gram: npt.NDArray[np.float64]  # [K, K] VᵀV of the items with a training like, each with its weight
    root: FloatArray  # [K, K] rows with the same Gram matrix


class SolvedModel(Recommender, ABC):
    """Score `u_i · v_j`; the configuration has `observed`, `unobserved` and `ridge_users`."""

    config: Any

    _items: FloatArray  # [I, K]
    _users: FloatArray  # [U, K]
    _last_pool: _Pool | None = None

    def _user_reps(self, users: Rows) -> FloatArray:
        return self._users[users]

    def _known_reps(self, rows: Rows) -> FloatArray:
        return self._items[rows]

    def _fold_in(self, likes: Csr, item_reps: Any) -> FloatArray:
        """The exact user solve with the training items as the pool."""
        return solve_fold_in(likes, self._directions(item_reps), pool=self._pool().root, **self._weights())

    def _like_shares(self, liked: Any, targets: Any) -> FloatArray | None:
        vectors = self._directions(liked), self._directions(targets)
        return like_shares(*vectors, gram=self._pool().gram, **self._weights())

    def _weights(self) -> dict[str, Any]:
        config = self.config
        return {"observed": config.observed, "unobserved": config.unobserved, "ridge": config.ridge_users}

    def _pool(self) -> _Pool:
        """Made once for the items and likes as they are: a new user then costs no pass over the catalogue."""
        pool = self._last_pool
        if pool is None or pool.items is not self._items or pool.likes is not self.data.likes:
            liked = self.data.likes_per_item() > 0 if self.likes_known else np.ones(len(self._items), np.bool_)
            weights = self._item_weights(liked)
            gram = gram_matrix(to_tensor(self._directions(self._items)), liked, weights).numpy()
            values, vectors = np.linalg.eigh(gram)
            root = (np.sqrt(np.maximum(values, 0))[:, None] * vectors.T).astype(np.float32)
            self._last_pool = pool = _Pool(self._items, self.data.likes, gram, root)
        return pool

    def _item_weights(self, liked: npt.NDArray[np.bool_]) -> Tensor | None:
        """w of the unobserved pairs of each item [I] (`learn.alternation`); equal where likes are not known."""
        counts = self.data.likes_per_item() if self.likes_known else liked.astype(np.int64)
        weights = popularity_weights(counts, getattr(self.config, "unobserved_power", 0.0))
        return None if weights is None else to_tensor(weights)
