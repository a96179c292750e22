"""The items of a catalogue that somebody liked: their places, and what their likers tell about each other.

Shapes: `I` items of the catalogue, `n` liked ones, `U` users, `B` users of a block, `C` items of a call.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.dataset import Csr, Dataset, Rows, binary_csr
from textrec.learn.representations import unit_rows
from textrec.models.item_similarity import Ease, EaseConfig

__all__ = ["LikedItems"]

FloatArray = npt.NDArray[np.float32]

ROWS_AT_ONCE = 1024


class LikedItems:
    """The pool of a kernel.

    Args:
        data: catalogue and likes.
    """

    def __init__(self, data: Dataset) -> None:
        self.data = data
        self.rows = np.flatnonzero(data.likes_per_item() > 0)
        """Catalogue rows [n]."""
        self.places = np.full(data.n_items, -1, np.int64)
        """Place of each item of the catalogue among the liked, −1 outside [I]."""
        self.places[self.rows] = np.arange(len(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def likes_of(self, users: Rows) -> Csr:
        """Likes of some users [B, n]."""
        return sp.csr_array(self.data.likes[users][:, self.rows])

    def likes_at(self, likes: Csr, places: Rows) -> Csr:
        """Likes of items at these places [B, C] as likes of the pool [B, n]; items outside it drop out."""
        known = np.flatnonzero(places >= 0)
        inside = sp.coo_array(likes[:, known])
        return binary_csr(inside.row, places[known][inside.col], (likes.shape[0], len(self)))

    def likers_alike(self, places: Rows) -> FloatArray:
        """Cosines of who liked the items at these places with who liked each of the pool [C, n].

        A user with many likes says less.
        """
        found = np.empty((len(places), len(self)), np.float32)
        for start in range(0, len(places), ROWS_AT_ONCE):
            part = places[start : start + ROWS_AT_ONCE]
            found[start : start + len(part)] = (self._likers[part] @ self._likers.T).toarray()
        return found

    @cached_property
    def _likers(self) -> Csr:
        """Likers of each item, rows of length 1 [n, U]."""
        damped = sp.diags_array(np.maximum(self.data.likes_per_user(), 1) ** -0.5) @ self.data.likes[:, self.rows]
        return unit_rows(sp.csr_array(sp.csr_array(damped).T.astype(np.float32)))

    def imputed(self, likes: Csr) -> FloatArray:
        """e = xB, the scores that EASE gives likes x of the pool [B, n]."""
        return self._ease._score(likes, np.arange(len(self))[:, None])

    @cached_property
    def _ease(self) -> Ease:
        # n²·12 bytes at its peak, no more than the kernel's own solve
        return Ease(EaseConfig(most=max(len(self), 1))).fit(self.data.take_items(self.rows))
