"""Kernel ridge regression on weighted likes, exact, and Nyström's features for catalogues that are too large for it.

A user is a function f in the space of a kernel k over items that minimises, over the pool X of liked training items,

    Σ_{j liked} a (1 − f(x_j))² + Σ_{j other} b f(x_j)² + λ ‖f‖²

With M = b K + λ 1 and G = K M⁻¹ = (1 − λ M⁻¹) / b for the kernel matrix K of the pool, and L the likes of a user,

    f(x) = k(x, X) M⁻¹ S β,   β = a (1 + (a − b) G_LL)⁻¹ 1,   S the columns of the identity at L:

one factorisation serves all users, and each has a system of the size of its likes (Woodbury). Leaving the item j out
of the pool multiplies its score for a user who has not liked it by 1 / (λ M⁻¹_jj), the rule of EASE (Steck 2019).

Shapes: `n` items of the pool, `U` users, `L` liked items of a call, `C` items of a call, `m` landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from textrec.dataset import Csr, Rows
from textrec.errors import DataError

__all__ = ["ExactRidge", "Nystrom"]

FloatArray = npt.NDArray[np.float32]

BATCH_FLOATS = 1 << 22
"""Numbers of the users' systems solved at once: 16 MB."""


@dataclass(frozen=True)
class ExactRidge:
    """The solve over one pool.

    Args:
        inverse: M⁻¹ [n, n].
        observed: a.
        unobserved: b, above 0.
        ridge: λ, above 0.
    """

    inverse: Tensor
    observed: float
    unobserved: float
    ridge: float

    @classmethod
    def of(cls, kernel: FloatArray, observed: float, unobserved: float, ridge: float) -> ExactRidge:
        """From the kernel matrix K, float32 [n, n], which is overwritten.

        Raises:
            DataError: the kernel matrix is not positive, or not finite.
        """
        matrix = torch.from_numpy(kernel)
        matrix.mul_(unobserved).diagonal().add_(ridge)
        root, failed = torch.linalg.cholesky_ex(matrix, out=(matrix, torch.empty((), dtype=torch.int32)))
        if failed or not bool(torch.isfinite(root.diagonal()).all()):
            raise DataError(f"the kernel matrix of the texts is not positive at ridge {ridge}; raise the ridge")
        return cls(torch.cholesky_inverse(root), observed, unobserved, ridge)

    @cached_property
    def left_out(self) -> FloatArray:
        """What the score of each item of the pool is multiplied by to leave it out [n]."""
        return np.asarray(1 / (self.ridge * self.inverse.diagonal()).numpy(), np.float32)

    def weights(self, likes: Csr) -> Csr:
        """β of users by their likes of the pool [U, n], where these are."""
        smoother = self._smoother(self.inverse)
        return _solved(likes, smoother, self.observed, self.observed - self.unobserved)

    def coefficients(self, weights: Csr | FloatArray) -> FloatArray:
        """M⁻¹ y of users [U, n] from what is regressed, y = S β of their likes or any label of every item [U, n]."""
        return np.asarray(weights @ self.inverse.numpy(), np.float32)

    def fold_in(self, likes: Csr, rows: Rows, kernels: FloatArray) -> tuple[Csr, FloatArray]:
        """β of users who were not trained [U, L], and M⁻¹ S of the liked items [L, n].

        An item outside the pool counts as the mix of the pool's items that predicts it, `b M⁻¹ k(X, x)`.

        Args:
            likes: [U, L].
            rows: place of each liked item in the pool, −1 outside [L].
            kernels: k(x, X) of the liked items [L, n]; those of the pool's own are not read.
        """
        inverse = self.inverse
        known = np.flatnonzero(rows >= 0)
        if len(known) == len(rows):
            spread = inverse[torch.from_numpy(rows)]
            smoother = self._smoother(spread[:, torch.from_numpy(rows)])
        else:
            columns = torch.zeros(len(rows), len(inverse))
            columns[torch.from_numpy(known), torch.from_numpy(rows[known])] = 1
            new = torch.from_numpy(np.flatnonzero(rows < 0))
            columns[new] = self.unobserved * (torch.from_numpy(kernels)[new] @ inverse)
            spread = columns @ inverse
            smoother = (columns @ columns.T - self.ridge * spread @ columns.T) / self.unobserved
        weights = _solved(likes, smoother, self.observed, self.observed - self.unobserved)
        return weights, np.asarray(spread.numpy())

    def _smoother(self, inverse: Tensor) -> Tensor:
        """G of the rows and columns of M⁻¹ given."""
        smoother = -self.ridge * inverse
        smoother.diagonal().add_(1)
        return smoother.div_(self.unobserved)


def _solved(likes: Csr, smoother: Tensor, observed: float, surplus: float) -> Csr:
    """β = a (1 + (a − b) G_LL)⁻¹ 1 of every row of likes, users with about as many likes together."""
    starts, sizes = likes.indptr[:-1].astype(np.int64), np.diff(likes.indptr).astype(np.int64)
    found = np.zeros(likes.nnz, np.float32)
    order = np.argsort(sizes, kind="stable")
    order = order[sizes[order] > 0]
    while len(order):
        longest = int(sizes[order[-1]])
        many = max(1, BATCH_FLOATS // longest**2)
        part, order = order[-many:], order[:-many]
        offsets = np.arange(longest)
        inside = offsets < sizes[part][:, None]
        places = np.minimum(starts[part][:, None] + offsets, likes.nnz - 1)
        columns = torch.from_numpy(likes.indices[places].astype(np.int64))
        real = torch.from_numpy(inside)
        systems = surplus * smoother[columns[:, :, None], columns[:, None, :]]
        systems *= real[:, :, None] & real[:, None, :]
        systems.diagonal(dim1=1, dim2=2).add_(1)
        right = observed * real.float()[:, :, None]
        solved = torch.linalg.solve(systems, right)[:, :, 0].numpy()
        found[places[inside]] = solved[inside]
    return sp.csr_array((found, likes.indices, likes.indptr), shape=likes.shape)


@dataclass(frozen=True)
class Nystrom:
    """Features φ(x) = k(x, Z) L⁻ᵀ with L Lᵀ = k(Z, Z): φ(x)·φ(y) ≈ k(x, y) (Williams, Seeger 2001).

    Args:
        root: L⁻ᵀ, float32 [m, m].
    """

    root: FloatArray

    @classmethod
    def of(cls, kernel: FloatArray, *, jitter: float = 1e-4) -> Nystrom:
        """From the kernel matrix of the landmarks [m, m]; the jitter keeps copies of a text apart."""
        matrix = kernel.astype(np.float64)
        matrix[np.diag_indices(len(matrix))] += jitter
        root = np.linalg.cholesky(matrix)
        inverse = torch.linalg.solve_triangular(
            torch.from_numpy(root), torch.eye(len(root), dtype=torch.float64), upper=False
        )
        return cls(np.ascontiguousarray(inverse.numpy().T, np.float32))

    def features(self, kernels: FloatArray) -> FloatArray:
        """φ [C, m] from k(x, Z) [C, m]."""
        return np.asarray(kernels @ self.root, np.float32)
