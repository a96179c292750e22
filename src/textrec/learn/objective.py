"""The loss of the recipe `exact` (`learn.exact`) as constants, and what is solved under it when texts stand still.

Shapes: `K` factors, `U` users, `I` items, `G` tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from textrec.dataset import Csr
from textrec.learn.alternation import Alternation, FactorLoss, popularity_weights
from textrec.learn.group import ALONE, Group
from textrec.learn.ranking_losses import RankingLoss

__all__ = ["Objective", "solve_around"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Objective:
    """The constants of the loss L."""

    observed: float  # a
    unobserved: float  # b
    ridge_users: float  # λ_u
    ridge_items: float  # λ_v
    ridge_text: float  # λ_g
    tag_weight: float  # μ
    absent_tag_weight: float  # c'
    offsets: Literal["last", "alternate", "none"]
    sweeps: int  # item and user solves after training
    item_tag_weight: float = 0.0  # η of an item's own tags in those solves
    item_absent_tag_weight: float = 0.0  # its c'
    ridge_tags: float = 1.0  # its λ_t
    unobserved_power: float = 0.0  # of an item's likes, in its share of b
    loss: Literal["squared"] | RankingLoss = "squared"  # of the encoder's steps
    ranking_share: float = 0.5  # ρ
    ranking_scale: float = 10.0  # κ

    def blocks(self, likes: Csr, text: FloatArray, tags: Csr = None, group: Group = ALONE) -> Alternation:
        """Factors around text vectors g(X) [I, K]: the part of L they are solved for, an item's tags by squares."""
        weights = self.observed, self.unobserved, self.ridge_users, self.ridge_items
        loss = FactorLoss(*weights, self.item_tag_weight, self.item_absent_tag_weight, self.ridge_tags)
        found = popularity_weights(np.bincount(likes.indices, minlength=likes.shape[1]), self.unobserved_power)
        return Alternation(likes, text, loss, tags=tags, weights=found, group=group)


def solve_around(
    objective: Objective,
    text: FloatArray,
    likes: Csr,
    tags: Csr = None,
    *,
    sweeps: int | None = None,
    group: Group = ALONE,
) -> tuple[FloatArray, FloatArray]:
    """Users and items under L with the text vectors fixed: users at v = g, then items and users in turn.

    With a weight on them, an item's own tags help to place it (squared loss, as in CTR-MTL): what is known of an item
    beside its text and its likes. A new item stays at its text.

    Args:
        objective: the constants.
        text: g(X) [I, K].
        likes: [U, I].
        tags: [I, G], or None.
        sweeps: in place of the objective's.
        group: shares the rows of each solve.

    Returns:
        Users [U, K] and items [I, K].
    """
    tagged = tags is not None and tags.nnz > 0 and objective.item_tag_weight > 0
    blocks = objective.blocks(likes, text, tags if tagged else None, group)
    blocks.solve_users()
    if objective.offsets != "none":
        for _ in range(objective.sweeps if sweeps is None else sweeps):
            blocks.solve_tags()
            blocks.solve_items()
            blocks.solve_users()
    return blocks.users.numpy(), blocks.items.numpy()
