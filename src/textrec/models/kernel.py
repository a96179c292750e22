"""Users as functions over a text kernel, in closed form: kernel ridge regression on weighted likes.

Shapes: `U` users, `I` items, `n` liked training items (the pool), `C` items of a call, `L` liked items of a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.config import Config, bounded
from textrec.dataset import Csr, Dataset, Items, Rows
from textrec.errors import DataError
from textrec.learn.factors import solve_factors
from textrec.learn.kernel_ridge import ExactRidge, Nystrom
from textrec.learn.model import Capability, Checkpoint, Monitor
from textrec.models.liked_items import LikedItems
from textrec.models.members import MemberVectors
from textrec.models.solved import SolvedModel
from textrec.models.text_kernel import TextFeatures, TextKernel, TextKernelConfig, check_order
from textrec.models.tfidf import csr_arrays, csr_from
from textrec.protocol.splits import Fold

__all__ = ["KernelConfig", "KernelModel"]

FloatArray = npt.NDArray[np.float32]

EXACT_ONLY = ("collaborative", "imputed")
"""Settings that Nyström's features do not have."""


@dataclass(frozen=True)
class KernelConfig(TextKernelConfig):
    """Configuration of `kernel`."""

    observed: float = bounded(1.0, above=0.0)
    """a, the weight of a like."""

    unobserved: float = bounded(0.1, above=0.0)
    """b, the weight of every pair that is not a like; below observed."""

    ridge_users: float = bounded(1.0, above=0.0)
    """λ, the ridge on users."""

    collaborative: float = bounded(0.0, 0.0)
    """Weight of a second kernel over the items of the pool, the cosine of who liked them; it tells known items apart
    (exact solver only)."""

    imputed: float = bounded(0.0, 0.0)
    """Weight of likes that EASE imputes from other users, beside a user's own; each is regressed on texts and the two
    are added (exact solver only)."""

    solver: Literal["auto", "exact", "nystrom"] = "auto"
    """exact: memory of three matrices of all liked items, and of one row of it for each item ranked; nystrom: features
    from `landmarks`, which serve fast; auto: exact as long as that is within `most_exact`."""

    most_exact: int = bounded(30_000, 1)
    """Side of the largest matrix that auto makes: of liked items, or of liked × all items with the same number of
    entries; nystrom above."""

    landmarks: int = bounded(3000, 1)
    """Items that Nyström's features are made from."""

    def _faults(self) -> list[str]:
        faults = super()._faults()
        if self.unobserved >= self.observed:
            faults.append(f"unobserved must be below observed, got {self.unobserved} and {self.observed}")
        for name in EXACT_ONLY:
            if getattr(self, name) > 0 and self.solver == "nystrom":
                faults.append(f"{name} must be 0 with solver 'nystrom', got {getattr(self, name)}")
        return faults


class KernelModel(SolvedModel):
    """Kernel ridge regression (`learn.kernel_ridge`).

    Exact, an item is represented by its kernel with every item of the pool and, in a last column, its place in the pool
    (−1 outside); a user by a coefficient for every item of the pool. With Nyström's features both are vectors.

    With s = `imputed`, the scores e = xB that EASE gives a user's likes x over the pool are regressed as well, in place
    of the zeros: f(x) gains s b k(x, X) M⁻¹ e.
    """

    name = "kernel"
    summary = "kernel ridge regression from texts to each user's likes, closed form; TF-IDF or sentence vectors"
    capabilities: frozenset[Capability] = frozenset({"cold", "fold_in", "vectors", "bag_of_words"})
    config_type = KernelConfig
    ranks_by_likes = True

    config: KernelConfig
    _kernel: TextKernel
    _features: TextFeatures  # of the catalogue
    _liked: LikedItems  # the pool
    _betas: Csr  # β [U, n] (exact)
    _ridge: ExactRidge | None = None  # made again when it is first needed after loading
    _nystrom: Nystrom | None = None
    _landmarks: TextFeatures

    def __init__(self, config: Config | None = None, *, seed: int = 0, device: str = "auto") -> None:
        super().__init__(config, seed=seed, device=device)
        if not self.config.reads_bags:
            self.capabilities = self.capabilities - {"bag_of_words"}

    def check_data(self, train: Dataset) -> None:
        """Says which setting reads word counts."""
        check_order(train.items.documents, self.name, self.config)
        super().check_data(train)

    # ------------------------------------------------------------------ learning

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self._read(
            *TextKernel.fit(
                self.config,
                train,
                validation,
                owner=self.name,
                seed=self.seed,
                device=self.device,
                monitor=monitor,
                checkpoint=checkpoint,
            )
        )

    def _complete(self, train: Dataset, validation: Fold, monitor: Monitor | None) -> None:
        """An encoder goes on; sentence vectors are what they were."""
        self.data = train
        if isinstance(self._kernel.sentences, MemberVectors):
            self._kernel.sentences.complete(train, validation, monitor)
        self._read(*self._kernel.over(train.items.documents, monitor))

    def _read(self, kernel: TextKernel, features: TextFeatures) -> None:
        self._kernel, self._features = kernel, features
        self.vocabulary, self.report = kernel.vocabulary, kernel.report
        self._nystrom = None
        self._refit_likes()

    def _refit_likes(self) -> None:
        self._liked = LikedItems(self.data)
        if self._exact:
            self._ridge = None
            self._betas = self._solver().weights(sp.csr_array(self.data.likes[:, self._liked.rows]))
            return
        if self._nystrom is None:  # landmarks stay when likes come: items keep their vectors
            rng = np.random.default_rng(self.seed)
            chosen = self._liked.rows[np.sort(rng.permutation(len(self._liked))[: self.config.landmarks])]
            self._landmarks = self._features.take(chosen)
            self._nystrom = Nystrom.of(self._kernel.matrix(self._landmarks, self._landmarks))
            self._items = self._nystrom_rows(self._features)
        liked = self._liked.places >= 0
        self._users = solve_factors(self.data.likes, self._items, in_gram=liked, **self._weights())

    @property
    def _exact(self) -> bool:
        config, pool = self.config, len(self._liked)
        if config.solver != "auto" or pool * max(pool, self.data.n_items) <= config.most_exact**2:
            return config.solver != "nystrom"
        for name in EXACT_ONLY:
            if getattr(config, name) > 0:
                raise DataError(
                    f"kernel: {name} needs the exact solver, which takes {16 * pool * pool / 1e9:,.1f} GB for {pool:,} "
                    f"liked items and {12 * pool * self.data.n_items / 1e9:,.1f} GB to rank {self.data.n_items:,}; set "
                    f"solver = 'exact' if the memory is there, or {name} = 0"
                )
        return False

    def _solver(self) -> ExactRidge:
        if self._ridge is None:
            config, pool = self.config, self._features.take(self._liked.rows)
            kernel = self._kernel.matrix(pool, pool)
            if config.collaborative > 0:
                kernel += config.collaborative * self._liked.likers_alike(np.arange(len(self._liked)))
            self._ridge = ExactRidge.of(kernel, config.observed, config.unobserved, config.ridge_users)
        return self._ridge

    def _imputed(self, likes: Csr) -> FloatArray:
        """s b e of likes over the pool [B, n]."""
        return self.config.imputed * self.config.unobserved * self._liked.imputed(likes)

    def _nystrom_rows(self, features: TextFeatures) -> FloatArray:
        assert self._nystrom is not None
        return self._nystrom.features(self._kernel.matrix(features, self._landmarks))

    # ------------------------------------------------------------------ ranking

    def _user_reps(self, users: Rows) -> FloatArray:
        if not self._exact:
            return self._users[users]
        labels = sp.csr_array(self._betas[users])
        if self.config.imputed > 0:
            return self._solver().coefficients(self._imputed(self._liked.likes_of(users)) + labels.toarray())
        return self._solver().coefficients(labels)

    def _known_reps(self, rows: Rows) -> FloatArray:
        if not self._exact:
            return self._items[rows]
        reps = self._exact_rows(self._features.take(rows), self._liked.places[rows])
        inside = np.flatnonzero(self._liked.places[rows] >= 0)
        places = self._liked.places[rows][inside]
        if self.config.collaborative > 0:
            reps[inside, :-1] += self.config.collaborative * self._liked.likers_alike(places)
        reps[inside, :-1] *= self._solver().left_out[places][:, None]
        return reps

    def _new_reps(self, items: Items) -> FloatArray:
        features = self._kernel.read(items.documents)
        return self._exact_rows(features, np.full(len(items), -1)) if self._exact else self._nystrom_rows(features)

    def _exact_rows(self, features: TextFeatures, places: Rows) -> FloatArray:
        """Kernels with the pool, and places in it [C, n + 1]."""
        reps = np.empty((len(features), len(self._liked) + 1), np.float32)
        reps[:, :-1] = self._kernel.matrix(features, self._features.take(self._liked.rows))
        reps[:, -1] = places  # whole numbers up to 16 million are exact in float32
        return reps

    def _fold_in(self, likes: Csr, item_reps: Any) -> FloatArray:
        if not self._exact:
            return super()._fold_in(likes, item_reps)
        places, kernels = _parted(item_reps)
        weights, spread = self._solver().fold_in(likes, places, kernels)
        found = np.asarray(weights @ spread, np.float32)
        if self.config.imputed > 0:
            found += self._solver().coefficients(self._imputed(self._liked.likes_at(likes, places)))
        return found

    @property
    def scores_by_product(self) -> bool:
        """Nyström's features are vectors; the exact solver's items also hold their place in the pool."""
        return not self._exact

    def _score(self, user_reps: Any, item_reps: Any) -> FloatArray:
        return np.asarray(user_reps @ self._directions(item_reps).T, np.float32)

    def _directions(self, item_reps: Any) -> FloatArray:
        directions: FloatArray = item_reps[:, :-1] if self._exact else item_reps
        return directions

    def _encode(self, items: Items) -> FloatArray:
        return np.ascontiguousarray(self._directions(self._new_reps(items)))

    def _like_shares(self, liked: Any, targets: Any) -> FloatArray | None:
        if not self._exact:
            return super()._like_shares(liked, targets)
        everything = sp.csr_array(np.ones((1, len(liked)), np.float32))
        places, kernels = _parted(liked)
        weights, spread = self._solver().fold_in(everything, places, kernels)
        shares = weights.toarray().T * spread
        if self.config.imputed > 0:
            each = sp.csr_array(sp.eye_array(len(liked), dtype=np.float32))
            shares += self._solver().coefficients(self._imputed(self._liked.likes_at(each, places)))
        return np.asarray(shares @ self._directions(targets).T, np.float32)

    # ------------------------------------------------------------------ saving

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The solve itself is left out: it is the square of the pool, and is made again when it is needed."""
        arrays = self._kernel.arrays() | self._features.arrays()
        if self._exact:
            return arrays | csr_arrays("betas", self._betas)
        assert self._nystrom is not None
        landmarks = {f"landmarks.{name}": value for name, value in self._landmarks.arrays().items()}
        return arrays | landmarks | {"root": self._nystrom.root, "users": self._users}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._kernel, self._features = TextKernel.restore(
            self.config, self.vocabulary, arrays, owner=self.name, device=self.device, data=self.data
        )
        self._liked = LikedItems(self.data)
        if self._exact:
            self._betas = csr_from("betas", arrays, len(self._liked))
            return
        own = {name.removeprefix("landmarks."): value for name, value in arrays.items() if name[:10] == "landmarks."}
        self._landmarks = self._kernel.features_of(own)
        self._nystrom, self._users = Nystrom(arrays["root"]), arrays["users"]
        self._items = self._nystrom_rows(self._features)


def _parted(item_reps: FloatArray) -> tuple[Rows, FloatArray]:
    """Places in the pool [C], and kernels with it [C, n]."""
    return item_reps[:, -1].astype(np.int64), item_reps[:, :-1]
