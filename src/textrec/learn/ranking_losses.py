"""Losses by rank: a like is compared with the other documents of its batch that the same user does not like.

With z_ij = κ u_i·v_j, P the likes (i, j) of a batch and N_i its documents that user i does not like:

    softmax   1/κ Σ_P −log( e^z_ij / (e^z_ij + Σ_{l ∈ N_i} e^z_il) )          (the batch as the sample of documents)
    bpr       1/κ Σ_P 1/|N_i| Σ_{l ∈ N_i} log(1 + e^(z_il − z_ij))            (Rendle et al. 2009)
    warp      1/κ Σ_P Φ(r_ij)/r_ij Σ_{l ∈ N_i} max(0, 1 − z_ij + z_il)        (Weston, Bengio, Usunier 2011)

where r_ij counts the documents of N_i in the last sum and Φ(r) = Σ_{k ≤ r} 1/k. Batches are drawn uniformly, so that
every document is equally often one of the others and nothing is to be corrected. WARP draws documents until one is
ranked wrongly and estimates r from their number; here all of the batch are scored, so r is counted. The factor 1/κ
keeps the pull on a score near that of the squared loss whatever κ is.

Shapes: `B` documents, `K` factors, `U` users, `P` distinct users of a batch, `n` likes of a batch.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from textrec.learn.losses import Pairs

__all__ = ["RankingLoss", "ranking_loss"]

RankingLoss = Literal["softmax", "bpr", "warp"]

NEVER = -1e30
"""Score of a document that is out of the comparison: finite, so that a user who likes the whole batch gives no NaN."""


def ranking_loss(kind: RankingLoss, vectors: Tensor, users: Tensor, likes: Pairs, scale: float) -> Tensor:
    """The loss of that name, summed over the likes of the batch.

    Args:
        kind: which one.
        vectors: v_j [B, K].
        users: u_i [U, K].
        likes: (document, user) pairs, each once.
        scale: κ, how sharply scores are told apart.
    """
    readers, place = torch.unique(likes.columns, return_inverse=True)
    scores = scale * (users[readers] @ vectors.T)  # [P, B]
    liked = torch.zeros_like(scores, dtype=torch.bool)
    liked[place, likes.rows] = True
    positive = scores[place, likes.rows]  # [n]
    others = scores.masked_fill(liked, NEVER)
    if kind == "softmax":
        return F.softplus(others.logsumexp(1)[place] - positive).sum() / scale
    # F.embedding, not indexing: see `losses.all_users_loss`
    ahead = F.embedding(place, others) - positive[:, None]  # [n, B] z_il − z_ij
    if kind == "bpr":
        sizes = (~liked).sum(1).clamp(min=1)[place]
        return (F.softplus(ahead).sum(1) / sizes).sum() / scale
    hinge = (1 + ahead).clamp(min=0)
    rank = (hinge > 0).sum(1)
    return (hinge.sum(1) * _harmonic(len(vectors), scores)[rank]).sum() / scale


def _harmonic(most: int, like: Tensor) -> Tensor:
    """Φ(r)/r for r from 0 to `most`, with 0 at 0."""
    ranks = torch.arange(1, most + 1, dtype=like.dtype, device=like.device)
    return F.pad((1 / ranks).cumsum(0) / ranks, (1, 0))
