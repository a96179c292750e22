"""Cutting an epoch into mini-batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["batch_size", "cut", "encoding_batches", "length_buckets"]

Examples = npt.NDArray[np.int64]

POOL_BATCHES = 32
"""Texts are sorted by length among this many batches: they stay mixed, and long ones keep each other company."""

STEP_TOKENS = 1 << 14
"""About the most tokens a step: it keeps some 20 kB a token for the backward pass."""


def batch_size(most: int, examples: int) -> int:
    """At most `most`; with few examples less, so that an epoch still has 32 steps, but not below 16."""
    return min(most, max(16, examples // 32))


def cut(order: Examples, size: int) -> list[Examples]:
    """Batches of `size` in order; the last one may be smaller."""
    return [order[start : start + size] for start in range(0, len(order), size)]


def length_buckets(
    order: Examples, lengths: npt.NDArray[np.integer], size: int, rng: np.random.Generator
) -> list[Examples]:
    """Batches of examples of about one length, in random order.

    A recurrent layer takes as many steps as the longest text of a batch; steps that few texts reach waste time. Batches
    of long texts are cut into parts of about `STEP_TOKENS`, which bounds memory.

    Args:
        order: the epoch's examples, shuffled.
        lengths: tokens of each example, by example number.
        size: examples a batch.
        rng: shuffles the batches.
    """
    pools = cut(order, size * POOL_BATCHES)
    batches = [batch for pool in pools for batch in cut(pool[np.argsort(lengths[pool], kind="stable")], size)]
    batches = [part for batch in batches for part in _parts(batch, int(lengths[batch].sum()))]
    return [batches[number] for number in rng.permutation(len(batches))]


def _parts(batch: Examples, tokens: int) -> list[Examples]:
    return np.array_split(batch, min(-(-tokens // STEP_TOKENS), len(batch))) if tokens > STEP_TOKENS else [batch]


def encoding_batches(lengths: npt.NDArray[np.integer], tokens: int, texts: int, most: int) -> list[Examples]:
    """All texts, sorted by length, in batches for encoding without gradients.

    Short texts fill a batch by tokens, which bounds memory. A batch of long ones would be few texts, over which a GRU
    is slow: those go on to a number of texts, as long as memory allows.

    Args:
        lengths: tokens of each text.
        tokens: about as many tokens make a batch,
        texts: unless they are fewer texts than this,
        most: and then at most about this many tokens.
    """
    rows = np.argsort(lengths, kind="stable")
    share = np.maximum(np.minimum(lengths[rows] / tokens, 1 / texts), lengths[rows] / most)
    batch = np.cumsum(share).astype(np.int64)
    return np.split(rows, np.flatnonzero(np.diff(batch)) + 1)
