"""Cutting an epoch into mini-batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["cut", "length_buckets"]

Examples = npt.NDArray[np.int64]

POOL_BATCHES = 32
"""Texts are sorted by length among this many batches: they stay mixed, and long ones keep each other company."""


def cut(order: Examples, size: int) -> list[Examples]:
    """Batches of `size` in order; the last one may be smaller."""
    return [order[start : start + size] for start in range(0, len(order), size)]


def length_buckets(
    order: Examples, lengths: npt.NDArray[np.integer], size: int, rng: np.random.Generator
) -> list[Examples]:
    """Batches of examples of about one length, in random order.

    A recurrent layer takes as many steps as the longest text of a batch; steps that few texts reach waste time.

    Args:
        order: the epoch's examples, shuffled.
        lengths: tokens of each example, by example number.
        size: examples a batch.
        rng: shuffles the batches.
    """
    pools = cut(order, size * POOL_BATCHES)
    batches = [batch for pool in pools for batch in cut(pool[np.argsort(lengths[pool], kind="stable")], size)]
    return [batches[number] for number in rng.permutation(len(batches))]
