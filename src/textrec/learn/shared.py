"""The heavy work of the recipe `exact`, its rows shared by a group: solves, Gram matrices, encoding.

Alone (`learn.group.ALONE`) each function is the plain one, to the bit.

Shapes: `R` rows, `K` factors, `n` texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from textrec.dataset import Rows
from textrec.learn.factors import solve
from textrec.learn.group import Group
from textrec.learn.squared_loss import Block, gram_matrix

__all__ = ["shared_gram", "shared_solve"]


def shared_solve(
    group: Group, blocks: Sequence[Block], ridge: float, *, prior: Tensor | None = None, rows: Rows | None = None
) -> Tensor:
    """`factors.solve`, each member solving its share of the rows; all of them get all rows, float32 [len(rows), K]."""
    if group.size == 1:
        return solve(blocks, ridge, prior=prior, rows=rows)
    chosen = np.arange(blocks[0].matrix.shape[0]) if rows is None else rows
    known = [replace(block, gram=_block_gram(group, block)) for block in blocks]
    return group.gather(solve(known, ridge, prior=prior, rows=chosen[group.own]), len(chosen))


def shared_gram(group: Group, factors: Tensor) -> Tensor:
    """FᵀF float32 [K, K] of factors [R, K] that all members hold: each multiplies its share of the rows."""
    part = factors[group.own]
    gram = part.T @ part
    group.add(gram)
    return gram


def _block_gram(group: Group, block: Block) -> Tensor:
    """`Block.own_gram`, float64."""
    if block.gram is not None:
        return block.gram
    mask = None if block.columns_in is None else block.columns_in[group.own]
    gram = gram_matrix(block.factors[group.own], mask)
    group.add(gram)
    return gram
