"""Matrix factorisation without text, and text mapped to its item factors afterwards.

Shapes: `U` users, `I` items, `K` factors, `F` n-grams.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.config import bounded
from textrec.dataset import Csr, Dataset, Items
from textrec.learn.factors import solve_factors
from textrec.learn.model import Capability, Checkpoint, FitReport, Monitor
from textrec.models.factor_model import FactorConfig, FactorModel
from textrec.models.tfidf import TfidfRows
from textrec.protocol.splits import Fold
from textrec.text import Vocabulary

__all__ = ["Als", "AlsConfig", "TextAls", "TextAlsConfig", "ridge_regression"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AlsConfig(FactorConfig):
    """Configuration of `als`."""

    ridge_users: float = bounded(0.1, above=0.0)
    """λ_u, the ridge on user vectors."""

    ridge_items: float = bounded(1.0, above=0.0)
    """λ_v, the ridge on item vectors."""

    sweeps: int = bounded(15, 1)
    """Rounds of user and item solves."""


class Als(FactorModel):
    """Weighted matrix factorisation by alternating least squares (Hu, Koren, Volinsky 2008): no text at all."""

    name = "als"
    summary = "weighted matrix factorisation on likes alone (Hu, Koren, Volinsky 2008)"
    capabilities: frozenset[Capability] = frozenset({"fold_in", "bag_of_words"})
    config_type = AlsConfig

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self.report = FitReport()
        self._factorise(monitor)

    def _refit_likes(self) -> None:
        self._factorise(None)

    def _factorise(self, monitor: Monitor | None) -> None:
        """Items start at random; an item without likes stays at zero. Ctrl-C keeps the last whole round."""
        config, likes = self.config, self.data.likes
        rng = np.random.default_rng(self.seed)
        by_item = sp.csr_array(likes.T)
        liked = np.diff(by_item.indptr) > 0
        self._items = rng.normal(0, 0.01, (likes.shape[1], config.factors)).astype(np.float32) * liked[:, None]
        weights = {"observed": config.observed, "unobserved": config.unobserved}
        try:
            for number in range(1, config.sweeps + 1):
                started = time.perf_counter()
                users = solve_factors(likes, self._items, ridge=config.ridge_users, **weights)
                self._items = solve_factors(by_item, users, ridge=config.ridge_items, **weights)
                self.report.epochs = self.report.best_epoch = number
                if monitor is not None:
                    seconds = time.perf_counter() - started
                    monitor({"event": "epoch", "epoch": number, "epochs": config.sweeps, "seconds": seconds})
        except KeyboardInterrupt:
            self.report.interrupted = True
        self._users = solve_factors(likes, self._items, ridge=config.ridge_users, **weights)


@dataclass(frozen=True)
class TextAlsConfig(AlsConfig):
    """Configuration of `text-als`."""

    ridge_map: float = bounded(10.0, above=0.0)
    """Ridge of the regression from TF-IDF rows to item vectors."""

    ngrams: int = bounded(2, 1, 2)
    """Longest word n-gram; a bag of words has single words only."""

    min_items: int = bounded(2, 1)
    """An n-gram in fewer training items than this is left out."""


class TextAls(Als):
    """ALS, then a linear map from TF-IDF to item factors for new items (Gantner et al. 2010)."""

    name = "text-als"
    summary = "ALS factors, and ridge regression from TF-IDF to them for new items (Gantner et al. 2010)"
    capabilities: frozenset[Capability] = frozenset({"cold", "fold_in", "vectors", "bag_of_words"})
    config_type = TextAlsConfig

    vocabulary: Vocabulary
    _reader: TfidfRows
    _map: FloatArray  # [F, K]

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        config = self.config
        self._reader, rows = TfidfRows.fit(
            train.items.documents, ngrams=config.ngrams, min_items=config.min_items, sublinear=True
        )
        self.vocabulary = self._reader.vocabulary
        super()._fit(train, validation, monitor, checkpoint)
        liked = train.likes_per_item() > 0
        self._map = ridge_regression(sp.csr_array(rows[liked]), self._items[liked], config.ridge_map)

    def _new_reps(self, items: Items) -> FloatArray:
        return self._encode(items)

    def _encode(self, items: Items) -> FloatArray:
        return np.asarray(self._reader.rows(items.documents) @ self._map, np.float32)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return super()._arrays() | self._reader.arrays() | {"map": self._map}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._restore(arrays)
        self._reader = TfidfRows.restore(self.vocabulary, arrays, sublinear=True)
        self._map = arrays["map"]


def ridge_regression(rows: Csr, targets: FloatArray, ridge: float, *, iterations: int = 200) -> FloatArray:
    """W [F, K] that minimises ‖X W − Y‖² + ridge ‖W‖², by conjugate gradients on all columns at once.

    Args:
        rows: X, sparse [n, F].
        targets: Y [n, K].
        ridge: above 0.
        iterations: most steps; it stops earlier once the residual has fallen to 1e-5 of its start.
    """
    across = sp.csr_array(rows.T)
    residual = np.asarray(across @ targets, np.float32)
    found, direction = np.zeros_like(residual), residual.copy()
    size = np.square(residual).sum(0, dtype=np.float64)
    enough = 1e-10 * size
    for _ in range(iterations):
        if (size <= enough).all():
            break
        image = across @ (rows @ direction) + ridge * direction
        curvature = (direction * image).sum(0, dtype=np.float64)
        step = np.divide(size, curvature, out=np.zeros_like(size), where=curvature > 0).astype(np.float32)
        found += step * direction
        residual -= step * image
        before, size = size, np.square(residual).sum(0, dtype=np.float64)
        direction = (
            residual + np.divide(size, before, out=np.zeros_like(size), where=before > 0).astype(np.float32) * direction
        )
    return found
