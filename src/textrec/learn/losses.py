"""The losses of the `exact` recipe, each a sum over the documents of a batch.

Shapes: `B` documents, `K` factors, `U` users, `G` tags, `n` likes or tags of the batch together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from textrec.dataset import Csr, Rows
from textrec.learn.tensors import to_tensor

__all__ = ["Pairs", "all_users_loss", "tag_loss"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """The ones of a sparse 0/1 matrix: `rows[i]` of the batch goes with `columns[i]`."""

    rows: Tensor  # int64 [n]
    columns: Tensor  # int64 [n]

    @classmethod
    def of(cls, matrix: Csr, rows: Rows, device: torch.device | str = "cpu") -> Pairs:
        """The ones in the given rows of a CSR matrix; row numbers count within the batch."""
        sizes = matrix.indptr[rows + 1] - matrix.indptr[rows]  # of these rows alone
        ends = np.cumsum(sizes)
        flat = np.arange(ends[-1] if len(ends) else 0) + np.repeat(matrix.indptr[rows] - (ends - sizes), sizes)
        place = np.repeat(np.arange(len(rows)), sizes)
        return cls(to_tensor(place, device), to_tensor(matrix.indices[flat].astype(np.int64), device))


def all_users_loss(
    vectors: Tensor,
    users: Tensor,
    gram: Tensor,
    likes: Pairs,
    observed: float,
    unobserved: float,
    weights: Tensor | None = None,
) -> Tensor:
    """Σ_j Σ_i c_ij (r_ij − u_i·v_j)² over the batch and **all** users (Hu, Koren, Volinsky 2008; paper eq. 2).

    Σ_i s_ij² = v_jᵀ (UᵀU) v_j, so the cost is B·K² + n·K, whatever the number of users.

    Args:
        vectors: v_j [B, K].
        users: u_i [U, K].
        gram: UᵀU [K, K].
        likes: (document, user) pairs.
        observed, unobserved: the weights a and b.
        weights: w_j [B] on the unobserved weight of each document (`alternation`); None is 1.
    """
    squares = ((vectors @ gram) * vectors).sum(1)
    everyone = squares.sum() if weights is None else (weights * squares).sum()
    # F.embedding, not indexing: the gradient of indexing adds up in a random order on several CPU threads
    scores = (F.embedding(likes.rows, vectors) * F.embedding(likes.columns, users)).sum(-1)
    liked = (observed - unobserved) * scores.square() - 2 * observed * scores + observed
    return unobserved * everyone + liked.sum()


def tag_loss(vectors: Tensor, tags: Tensor, bias: Tensor, present: Pairs, absent_weight: float) -> Tensor:
    """Weighted binary cross entropy summed over documents and tags (paper §3.3, with the minus it needs).

    −Σ_jl [t_jl log p_jl + c' (1 − t_jl) log(1 − p_jl)], p_jl = σ(g_j·t_l + β_l).

    Args:
        vectors: g_j [B, K].
        tags: t_l [G, K].
        bias: β_l [G].
        present: (document, tag) pairs with t_jl = 1.
        absent_weight: c'.
    """
    logits = torch.addmm(bias, vectors, tags.T)
    softplus = F.softplus(logits)  # −log(1 − p); −log p = softplus − logit
    ours = present.rows, present.columns
    return absent_weight * softplus.sum() + ((1 - absent_weight) * softplus[ours] - logits[ours]).sum()
