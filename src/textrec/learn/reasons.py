"""Why a score is what it is: the weight of every word of a text, and every like's share of the score.

Shapes: `n` texts, `N` tokens of the texts together, `L` likes of a user, `K` factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from textrec.text import Documents

__all__ = ["Measure", "WordWeights", "like_shares", "occlusion"]

FloatArray = npt.NDArray[np.float32]

Measure = Literal["saliency", "contribution"]
"""saliency: ‖∂s/∂e‖, how far the score would move if the word did, never negative (paper §4.3) ·
contribution: how much the word adds to the score, or takes away from it."""


@dataclass(frozen=True, eq=False)
class WordWeights:
    """The weight of each token of some texts, in the order of their documents."""

    contribution: FloatArray  # [N]
    saliency: FloatArray | None = None  # [N]; None where there is no gradient
    best: Measure = "contribution"  # the one that tells words apart


def like_shares(
    liked: FloatArray,
    targets: FloatArray,
    *,
    gram: npt.NDArray[np.float64],
    ridge: float,
    observed: float,
    unobserved: float,
) -> FloatArray:
    """Each like's share of the scores of a user who was solved exactly; the shares add up to the score.

    The solve is linear in the liked items: `u = A⁻¹ a Σ_j v_j` with `A = b VᵀV + (a−b) Σ_j v_j v_jᵀ + λ_u 1`, so that
    `u·x = Σ_j a v_jᵀ A⁻¹ x`.

    Args:
        liked: factors of the liked items, float32 [L, K].
        targets: factors of the scored items, float32 [n, K].
        gram: VᵀV of the items with a training like [K, K].
        ridge: λ_u.
        observed: weight a of a like.
        unobserved: weight b of every other pair.

    Returns:
        float32 [L, n].
    """
    rows = liked.astype(np.float64)
    matrix = unobserved * gram + (observed - unobserved) * rows.T @ rows + ridge * np.eye(len(gram))
    return (observed * rows @ np.linalg.solve(matrix, targets.T.astype(np.float64))).astype(np.float32)


def occlusion(documents: Documents, score: Callable[[Documents], FloatArray]) -> FloatArray:
    """What each token adds to its text's score: the score of the text minus that of the text without the token [N].

    This needs nothing of a model but scores: one more text to read for each token.

    Args:
        documents: the texts; of a bag of words each distinct word is one token.
        score: scores [m] of any m rows over the same words.
    """
    sizes = np.diff(documents.starts)
    if not len(documents.ids):
        return np.zeros(0, np.float32)
    whole = np.repeat(score(documents), sizes)
    copies = documents.take(np.repeat(np.arange(len(documents)), sizes))
    row_of = np.repeat(np.arange(len(copies)), np.diff(copies.starts))
    place = np.arange(len(copies.ids)) - copies.starts[row_of]
    gone = (np.arange(len(copies)) - np.repeat(documents.starts[:-1], sizes))[row_of]
    kept = place != gone
    starts = copies.starts - np.arange(len(copies) + 1)
    counts = None if copies.counts is None else copies.counts[kept]
    return np.asarray(whole - score(Documents(copies.words, copies.ids[kept], starts, counts)), np.float32)
