"""Exact solves of the weighted squared loss (Hu, Koren, Volinsky 2008): the factor steps of `exact` and of CTR.

One row x_r of a sum of blocks (`learn.squared_loss`) solves

    x_r = (Σ_blocks w (b VᵀV + (a−b) V_rᵀV_r) + λ 1)⁻¹ (Σ_blocks w a Σ_{s∈r} v_s + λ prior_r)

A = Σ w b VᵀV + λ 1 = L Lᵀ is the same for all rows, so rows are solved in the coordinates y = Lᵀx: there V_r becomes
W = √(w (a−b)) V_r L⁻ᵀ, the matrix 1 + WᵀW has no eigenvalue above a/b, and float32 is enough whatever λ is. The row's
step away from its prior is (1 + WᵀW)⁻¹ Wᵀe = Wᵀ(1 + WWᵀ)⁻¹ e (Woodbury): the smaller of the two is factorised.

Shapes: `R` rows, `S` columns, `K` factors, `B` rows of a batch, `n` observations of the longest row of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from textrec.dataset import Csr, Rows
from textrec.errors import ArgumentError
from textrec.learn.squared_loss import Block, Mask, gram_matrix, slices, squared_loss
from textrec.learn.tensors import to_tensor

__all__ = ["objective", "solve", "solve_factors", "solve_fold_in"]

FloatArray = npt.NDArray[np.float32]

ROWS_AT_ONCE = 1 << 17
"""Rows whose observations are joined and sorted together: with several blocks that copies the matrices' entries."""

BATCH_FLOATS = 1 << 20
"""Numbers of gathered factors a batch: 4 MB, which bounds memory and stays in the cache."""


@torch.no_grad()
def solve(blocks: Sequence[Block], ridge: float, *, prior: Tensor | None = None, rows: Rows | None = None) -> Tensor:
    """The exact minimiser of Σ_blocks loss + ridge · Σ_r ‖x_r − prior_r‖² over the rows x.

    Args:
        blocks: at least one, all with the same rows, K and device.
        ridge: λ, above 0.
        prior: [R, K]; None is zero.
        rows: row numbers to solve; None is all.

    Returns:
        float32 [len(rows), K], on the device of the factors, in the order of `rows`.

    Raises:
        ArgumentError: sizes that do not fit, a ridge out of range, or factors that are not finite.
    """
    n_rows = blocks[0].matrix.shape[0]
    n_factors = blocks[0].factors.shape[1]
    if any(block.matrix.shape[0] != n_rows or block.factors.shape[1] != n_factors for block in blocks):
        raise ArgumentError("blocks must have the same number of rows and of factors")
    if not 0 < ridge < math.inf:
        raise ArgumentError(f"ridge must be above 0, got {ridge}")
    if prior is not None and prior.shape != (n_rows, n_factors):
        raise ArgumentError(f"prior must have shape ({n_rows}, {n_factors}), got {tuple(prior.shape)}")
    chosen = np.arange(n_rows) if rows is None else rows
    if len(chosen) and not (chosen.min() >= 0 and chosen.max() < n_rows):
        raise ArgumentError(f"rows must be from 0 to {n_rows - 1}, got {chosen.min()} to {chosen.max()}")
    solved = torch.empty(len(chosen), n_factors, device=blocks[0].factors.device)
    for present, places in _by_presence(blocks, chosen):
        _solve_present(present, ridge, prior, chosen, places, solved)
    return solved


def solve_factors(
    likes: Csr,
    other: FloatArray,
    *,
    ridge: float,
    observed: float = 1.0,
    unobserved: float = 0.01,
    prior: FloatArray | None = None,
    in_gram: Mask | None = None,
    rows: Rows | None = None,
    out: FloatArray | None = None,
    device: torch.device | str = "cpu",
) -> FloatArray:
    """`solve` with one block, NumPy in and out: all users given the items, or all items given the users.

    A row without likes gets the prior-only solution, zero without a prior.

    Args:
        likes: [R, S].
        other: factors of the columns, float32 [S, K].
        ridge: λ, above 0.
        observed: weight a of a like.
        unobserved: weight b of every other pair.
        prior: prior means, float32 [R, K]; None is zero.
        in_gram: mask [S] of the columns that take part; None is all.
        rows: row numbers to solve; None is all.
        out: float32 [R, K] to write the solved rows into; its other rows stay.
        device: where to compute.

    Returns:
        `out` when it is given, else float32 [len(rows), K].

    Raises:
        ArgumentError: see `solve`; or `out` of another shape.
    """
    block = Block(likes, to_tensor(other, device), observed, unobserved, columns_in=in_gram)
    solved = solve([block], ridge, prior=None if prior is None else to_tensor(prior, device), rows=rows).cpu().numpy()
    if out is None:
        return np.asarray(solved)
    if out.shape != (likes.shape[0], other.shape[1]):
        raise ArgumentError(f"out must have shape ({likes.shape[0]}, {other.shape[1]}), got {out.shape}")
    out[slice(None) if rows is None else rows] = solved
    return out


def solve_fold_in(
    likes: Csr,
    other: FloatArray,
    *,
    pool: FloatArray,
    ridge: float,
    observed: float = 1.0,
    unobserved: float = 0.01,
    device: torch.device | str = "cpu",
) -> FloatArray:
    """Factors of users who were not trained: the user solve with the training items as the unobserved pairs.

    A liked item counts as one of the pool, whether its factors are or not, so a trained user's likes give the trained
    user's factors.

    Args:
        likes: [R, S], likes of the new users.
        other: factors of the liked items, float32 [S, K].
        pool: factors of the items with a training like, float32 [I, K]. Any [m, K] with the same Gram matrix does as
            well: a server keeps `numpy.linalg.cholesky(VᵀV).T` and needs no pass over the catalogue per request.
        ridge: λ_u, above 0.
        observed: weight a of a like.
        unobserved: weight b of every other pair.
        device: where to compute.

    Returns:
        float32 [R, K].
    """
    gram = gram_matrix(to_tensor(pool, device))
    block = Block(likes, to_tensor(other, device), observed, unobserved, gram=gram)
    return np.asarray(solve([block], ridge).cpu().numpy())


def objective(
    likes: Csr,
    users: FloatArray,
    items: FloatArray,
    *,
    ridge_users: float,
    ridge_items: float,
    observed: float = 1.0,
    unobserved: float = 0.01,
    prior: FloatArray | None = None,
    in_gram: Mask | None = None,
) -> float:
    """L = Σ c_ij (r_ij − u_i·v_j)² + λ_u Σ‖u_i‖² + λ_v Σ‖v_j − prior_j‖², without the dense matrix.

    Args:
        likes: [U, I].
        users: u, float32 [U, K].
        items: v, float32 [I, K].
        ridge_users: λ_u.
        ridge_items: λ_v.
        observed: weight a of a like.
        unobserved: weight b of every other pair.
        prior: prior means of the items, float32 [I, K]; None is zero.
        in_gram: mask [I] of the items that take part (those with a training like); None is all.
    """
    block = Block(likes, to_tensor(items), observed, unobserved, columns_in=in_gram)
    offsets = items if prior is None else items - prior
    offsets = offsets if in_gram is None else offsets[in_gram]
    penalty = ridge_users * np.square(users, dtype=np.float64).sum()
    penalty += ridge_items * np.square(offsets, dtype=np.float64).sum()
    return squared_loss(block, to_tensor(users)) + float(penalty)


def _by_presence(blocks: Sequence[Block], rows: Rows) -> Iterator[tuple[list[Block], Rows]]:
    """The blocks that rows have, and the places in `rows` of the rows that have just these."""
    code = np.zeros(len(rows), np.int64)
    for bit, block in enumerate(blocks):
        code += (1 if block.rows_in is None else block.rows_in[rows].astype(np.int64)) << bit
    for value in np.unique(code):
        yield [block for bit, block in enumerate(blocks) if value >> bit & 1], np.flatnonzero(code == value)


def _solve_present(
    blocks: list[Block], ridge: float, prior: Tensor | None, rows: Rows, places: Rows, solved: Tensor
) -> None:
    """Solve the rows `rows[places]`, which have exactly these blocks, into `solved[places]`."""
    device, n_factors = solved.device, solved.shape[1]
    inverse_root = _inverse_root(blocks, ridge, n_factors, device)
    whitened, targets = _whiten(blocks, inverse_root)
    for at, padded in _all_batches(blocks, rows, places, pad=len(whitened) - 1, n_factors=n_factors):
        index = to_tensor(padded, device)
        seen = whitened.index_select(0, index.view(-1)).view(*index.shape, n_factors)
        residual = targets[index]
        if prior is None:
            y = _step(seen, residual).double()
        else:
            mean = ridge * prior[to_tensor(rows[at], device)].double() @ inverse_root.T
            residual = residual - torch.bmm(seen, mean.float()[:, :, None])[:, :, 0]
            y = _step(seen, residual).double() + mean
        solved[to_tensor(at, device)] = (y @ inverse_root).float()


def _inverse_root(blocks: list[Block], ridge: float, n_factors: int, device: torch.device) -> Tensor:
    """L⁻¹ for L Lᵀ = Σ w b VᵀV + λ 1, float64 [K, K]."""
    identity = torch.eye(n_factors, dtype=torch.float64, device=device)
    shared = ridge * identity
    for block in blocks:
        shared += block.weight * block.unobserved * block.own_gram()
    root, failed = torch.linalg.cholesky_ex(shared)
    if failed or not torch.isfinite(shared).all():
        raise ArgumentError(f"the factors are not finite, or ridge {ridge} is too small for their size; raise it")
    inverse: Tensor = torch.linalg.solve_triangular(root, identity, upper=False)
    return inverse


def _whiten(blocks: list[Block], inverse_root: Tensor) -> tuple[Tensor, Tensor]:
    """W of all blocks' columns [S + 1, K] and their targets e [S + 1]; the last row is zero, to pad with."""
    size = sum(len(block.factors) for block in blocks)
    whitened = torch.zeros(size + 1, len(inverse_root), device=inverse_root.device)
    targets = torch.zeros(size + 1, device=inverse_root.device)
    first = 0
    for block in blocks:
        scale = math.sqrt(block.weight * (block.observed - block.unobserved))
        for start, part in slices(block.factors, block.columns_in):
            at = first + start
            whitened[at : at + len(part)] = scale * part @ inverse_root.T
        targets[first : first + len(block.factors)] = block.weight * block.observed / scale
        first += len(block.factors)
    return whitened, targets


def _observations(blocks: list[Block], rows: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.integer]]:
    """Begin and end of each row [2, n] in the returned column numbers, which count through all blocks."""
    if not blocks:
        return np.zeros((2, len(rows)), np.int64), np.zeros(0, np.int64)
    if len(blocks) == 1:  # no copy of the matrix
        matrix = blocks[0].matrix
        return np.stack([matrix.indptr[:-1][rows], matrix.indptr[1:][rows]]).astype(np.int64), matrix.indices
    matrix = sp.csr_array(sp.hstack([block.matrix[rows] for block in blocks], format="csr"))
    return np.stack([matrix.indptr[:-1], matrix.indptr[1:]]).astype(np.int64), matrix.indices


def _all_batches(
    blocks: list[Block], rows: Rows, places: Rows, *, pad: int, n_factors: int
) -> Iterator[tuple[Rows, npt.NDArray[np.int64]]]:
    """Places of rows of similar length, and their columns [B, n], over all of `places`."""
    for first in range(0, len(places), ROWS_AT_ONCE):
        some = places[first : first + ROWS_AT_ONCE]
        spans, columns = _observations(blocks, rows[some])
        for part, padded in _batches(spans, columns, pad=pad, n_factors=n_factors):
            yield some[part], padded


def _batches(
    spans: npt.NDArray[np.int64], columns: npt.NDArray[np.integer], *, pad: int, n_factors: int
) -> Iterator[tuple[Rows, npt.NDArray[np.int64]]]:
    """Rows of similar length and their columns [B, n], filled up with `pad`, longest rows first."""
    begins, lengths = spans[0], spans[1] - spans[0]
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order]
    end = len(order)
    while end:
        longest = int(ascending[end - 1])
        # Padding is held below half; rows without observations come last, alone.
        shortest = int(np.searchsorted(ascending, longest // 2, side="right")) if longest else 0
        start = max(shortest, end - max(1, BATCH_FLOATS // (max(longest, 1) * n_factors)))
        part = order[start:end]
        offsets = np.arange(longest)
        flat = np.minimum(begins[part][:, None] + offsets, max(len(columns) - 1, 0))
        inside = offsets < lengths[part][:, None]
        yield part, np.where(inside, columns[flat] if longest else 0, pad).astype(np.int64)
        end = start


def _step(seen: Tensor, residual: Tensor) -> Tensor:
    """(1 + WᵀW)⁻¹ Wᵀr of each row, float32 [B, K], for W [B, n, K] and r [B, n]."""
    transposed = seen.mT
    if seen.shape[1] < seen.shape[2]:
        return torch.bmm(transposed, _solve_above_one(seen, residual[:, :, None]))[:, :, 0]
    return _solve_above_one(transposed, torch.bmm(transposed, residual[:, :, None]))[:, :, 0]


def _solve_above_one(half: Tensor, right: Tensor) -> Tensor:
    """(1 + H Hᵀ)⁻¹ right of each H [B, m, l]."""
    product = torch.bmm(half, half.mT)
    product.diagonal(dim1=1, dim2=2).add_(1)
    root, _ = torch.linalg.cholesky_ex(product)  # cannot fail: every eigenvalue is at least 1
    solution: Tensor = torch.cholesky_solve(right, root)
    return solution
