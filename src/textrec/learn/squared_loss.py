"""The weighted squared loss of implicit feedback (Hu, Koren, Volinsky 2008): one matrix of it, and its value.

A block is a sparse matrix of observed pairs (weight a, target 1; every other pair weight b, target 0) with the factors
of its columns. `learn.factors` minimises sums of blocks exactly.

Shapes: `R` rows, `S` columns, `K` factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textrec.dataset import Csr
from textrec.errors import ArgumentError
from textrec.learn.tensors import to_tensor

__all__ = ["Block", "Mask", "gram_matrix", "slices", "squared_loss"]

Mask = npt.NDArray[np.bool_]

SLICE_ROWS = 1 << 13
"""Rows of factors in float64, and observed pairs scored, at once."""


@dataclass(frozen=True, eq=False)
class Block:
    """One matrix of the loss: w Σ c_rs (m_rs − x_r·v_s)², c = a where m = 1 (observed) and b where m = 0.

    Raises:
        ArgumentError: weights out of range, or sizes that do not fit.
    """

    matrix: Csr  # [R, S]; the stored entries are the observed pairs, their values are not read
    factors: Tensor  # v, float32 [S, K]
    observed: float = 1.0  # a
    unobserved: float = 0.01  # b
    weight: float = 1.0  # w
    rows_in: Mask | None = None  # [R]; rows outside have no such block (items without tags)
    columns_in: Mask | None = None  # [S]; columns outside take no part, neither observed nor unobserved
    gram: Tensor | None = None  # float64 [K, K], VᵀV of the unobserved pairs, when it is not that of `factors`

    def __post_init__(self) -> None:
        a, b = self.observed, self.unobserved
        if not (0 <= b < a < math.inf):
            raise ArgumentError(f"unobserved must be at least 0 and below observed, got {b} and {a}")
        if not 0 < self.weight < math.inf:
            raise ArgumentError(f"weight must be above 0, got {self.weight}; leave the block out instead")
        if self.factors.ndim != 2 or self.matrix.shape[1] != len(self.factors):
            shape = tuple(self.factors.shape)
            raise ArgumentError(f"factors must be [{self.matrix.shape[1]}, K], one row a column, got shape {shape}")
        n_rows, n_columns = self.matrix.shape
        for name, mask, size in (("rows_in", self.rows_in, n_rows), ("columns_in", self.columns_in, n_columns)):
            if mask is not None and (mask.dtype != np.bool_ or mask.shape != (size,)):
                raise ArgumentError(f"{name} must be a bool mask of {size}, got {mask.dtype} of shape {mask.shape}")

    def own_gram(self) -> Tensor:
        """VᵀV of the unobserved pairs, float64 [K, K]."""
        return gram_matrix(self.factors, self.columns_in) if self.gram is None else self.gram


def gram_matrix(factors: Tensor, columns_in: Mask | None = None, weights: Tensor | None = None) -> Tensor:
    """VᵀV of the rows of `factors` [S, K] in the mask (all by default), accumulated in float64, [K, K].

    With weights [S] it is Σ_s weight_s v_s v_sᵀ: still one matrix, whatever the weights.
    """
    n_factors = factors.shape[1]
    gram = torch.zeros(n_factors, n_factors, dtype=torch.float64, device=factors.device)
    for start, part in slices(factors, columns_in):
        weighted = part if weights is None else part * weights[start : start + len(part), None].double()
        gram.addmm_(part.T, weighted)
    return gram


@torch.no_grad()
def squared_loss(block: Block, factors: Tensor) -> float:
    """The block's loss for row factors x, float32 [R, K]; rows and columns outside its masks take no part.

    Gram form: Σ_rs b (x_r·v_s)² is the inner product of XᵀX and VᵀV, so only observed pairs are visited.
    """
    gram = gram_matrix(factors, block.rows_in)
    loss = block.unobserved * float((gram * block.own_gram()).sum())
    row = np.repeat(np.arange(block.matrix.shape[0]), np.diff(block.matrix.indptr))
    column = block.matrix.indices
    keep = np.ones(len(row), np.bool_)
    for mask, index in ((block.rows_in, row), (block.columns_in, column)):
        keep &= True if mask is None else mask[index]
    row, column = row[keep], column[keep]
    for start in range(0, len(row), SLICE_ROWS):
        left = factors[to_tensor(row[start : start + SLICE_ROWS], factors.device)]
        right = block.factors[to_tensor(column[start : start + SLICE_ROWS], factors.device)]
        score = (left * right).sum(1).double()
        loss += float((block.observed * (1 - score).square() - block.unobserved * score.square()).sum())
    return block.weight * loss


def slices(factors: Tensor, mask: Mask | None) -> Iterator[tuple[int, Tensor]]:
    """Row number of the first, and float64 rows of `factors`, zero outside the mask."""
    inside = None if mask is None else to_tensor(mask, factors.device)
    for start in range(0, len(factors), SLICE_ROWS):
        part = factors[start : start + SLICE_ROWS].double()
        yield start, part if inside is None else part * inside[start : start + SLICE_ROWS, None]
