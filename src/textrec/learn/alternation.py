"""Users, items and tags around what is read in the items, each block solved exactly in turn.

    L = Σ_ij c_ij (r_ij − u_i·v_j)² + λ_u Σ‖u_i‖² + λ_v Σ‖v_j − θ_j‖²
        + η Σ_jl c'_jl (t_jl − v_j·τ_l)² + λ_t Σ‖τ_l‖²                                    (the second line: tags)

With weights w_j on items (mean 1), an item's unobserved weight is b w_j, and an observed pair has what it had above b:

    Σ_ij c_ij (r_ij − s_ij)² = Σ_observed ((a−b) s² − 2as + a) + b Σ_j w_j Σ_i s_ij²

which is the usual loss where w = 1. A solve differs in its Gram matrix only: Σ w_j v_j v_jᵀ for a user, w_j UᵀU for an
item.

θ_j is the prior mean of an item: its topic proportions in CTR and CTR-MTL (Wang, Blei 2011; paper §4.1.1, §4.1.2), its
text vector g(X_j) in the recipe `exact`. The likes part sums over items with a training like, the tags part over items
with a tag; an item without a like keeps v_j = θ_j. Every block is the exact minimiser of L given the others, so L never
rises.

Shapes: `U` users, `I` items, `G` tags, `K` factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from textrec.dataset import Csr, Rows
from textrec.learn.group import ALONE, Group
from textrec.learn.shared import shared_solve
from textrec.learn.squared_loss import Block, gram_matrix, squared_loss
from textrec.learn.tensors import to_tensor

__all__ = ["Alternation", "FactorLoss", "popularity_weights"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FactorLoss:
    """The constants of L."""

    observed: float  # a
    unobserved: float  # b
    ridge_users: float  # λ_u
    ridge_items: float  # λ_v
    tag_weight: float = 0.0  # η
    absent_tag_weight: float = 0.01  # c' of an absent tag; a present one has 1
    ridge_tags: float = 0.01  # λ_t


def popularity_weights(likes_per_item: npt.NDArray[np.integer], power: float) -> FloatArray | None:
    """w_j ∝ likes_j^power, mean 1 over the items with a like and 0 elsewhere, float32 [I]; None when all are equal.

    An item that many have liked was seen by many: that the others left it says more (a power above 0).
    """
    liked = likes_per_item > 0
    if power == 0 or not liked.any():
        return None
    weights = np.zeros(len(likes_per_item), np.float32)
    raised = likes_per_item[liked].astype(np.float64) ** power
    weights[liked] = raised / raised.mean()
    return weights


class Alternation:
    """Users, items and tags of L, moved block by block.

    Args:
        likes: training likes [U, I].
        theta: θ [I, K].
        loss: the constants.
        tags: training tags [I, G]; None leaves them out.
        weights: w [I], on the unobserved weight of each item; None is 1 everywhere.
        device: where to compute.
        group: shares the rows of each solve.
    """

    def __init__(
        self,
        likes: Csr,
        theta: FloatArray,
        loss: FactorLoss,
        *,
        tags: Csr = None,
        weights: FloatArray | None = None,
        device: torch.device | str = "cpu",
        group: Group = ALONE,
    ) -> None:
        self.loss, self.device, self.group = loss, device, group
        self.likes, self.by_item = likes, sp.csr_array(likes.T)
        self.liked = np.diff(self.by_item.indptr) > 0
        self._liked_rows = to_tensor(np.flatnonzero(self.liked), device)
        self.theta = to_tensor(theta, device)
        self.items = self.theta.clone()  # v
        self.weights = weights
        self.users = torch.zeros(likes.shape[0], theta.shape[1], device=device)
        self.tags, self.tag_vectors = tags, torch.zeros(0, theta.shape[1], device=device)
        if tags is not None:
            self.by_tag = sp.csr_array(tags.T)
            self.tagged = np.diff(tags.indptr) > 0
            self.tag_vectors = torch.zeros(tags.shape[1], theta.shape[1], device=device)

    def sweep(self) -> None:
        """Users, items, tags, each once."""
        self.solve_users()
        self.solve_items()
        self.solve_tags()

    def solve_users(self) -> None:
        """u_i given the items; zero for a user without likes."""
        self.users = shared_solve(self.group, [self._likes_block()], self.loss.ridge_users)

    def solve_items(self) -> None:
        """v_j around θ_j given users and tags; θ_j where nobody likes the item."""
        self.items = self.theta.clone()
        for weight, rows in self._rows_by_weight():
            gram = None if weight is None else weight * gram_matrix(self.users)
            solved = shared_solve(
                self.group, self._item_blocks(gram), self.loss.ridge_items, prior=self.theta, rows=rows
            )
            self.items[to_tensor(rows, self.device)] = solved

    def solve_tags(self) -> None:
        """τ_l given the items."""
        if self.tags is not None:
            self.tag_vectors = shared_solve(self.group, [self._tags_block()], self.loss.ridge_tags)

    def objective(self) -> float:
        """L as it stands."""
        loss = self.loss
        total = squared_loss(self._likes_block(), self.users) + loss.ridge_users * _squares(self.users)
        total += loss.ridge_items * _squares((self.items - self.theta)[self._liked_rows])
        if self.tags is not None:
            total += squared_loss(self._tags_block(), self.tag_vectors) + loss.ridge_tags * _squares(self.tag_vectors)
        return total

    def _rows_by_weight(self) -> list[tuple[float | None, Rows]]:
        """Items with a like that share a weight share a factorisation; counts of likes are few."""
        rows = np.flatnonzero(self.liked)
        if self.weights is None:
            return [(None, rows)]
        values, group = np.unique(self.weights[rows], return_inverse=True)
        order = np.argsort(group, kind="stable")
        parts = np.split(rows[order], np.cumsum(np.bincount(group))[:-1])
        return list(zip(values.tolist(), parts, strict=True))

    def _item_blocks(self, gram: Tensor | None) -> list[Block]:
        loss = self.loss
        blocks = [Block(self.by_item, self.users, loss.observed, loss.unobserved, gram=gram)]
        if self.tags is not None:
            blocks.append(
                Block(self.tags, self.tag_vectors, 1.0, loss.absent_tag_weight, loss.tag_weight, rows_in=self.tagged)
            )
        return blocks

    def _likes_block(self) -> Block:
        loss, weights = self.loss, self.weights
        gram = None if weights is None else gram_matrix(self.items, self.liked, to_tensor(weights, self.device))
        return Block(self.likes, self.items, loss.observed, loss.unobserved, columns_in=self.liked, gram=gram)

    def _tags_block(self) -> Block:
        loss = self.loss
        return Block(self.by_tag, self.items, 1.0, loss.absent_tag_weight, loss.tag_weight, columns_in=self.tagged)


def _squares(factors: Tensor) -> float:
    return float(factors.double().square().sum())
