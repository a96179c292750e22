"""Weights of a blend: scores of several models, each on the scale of its user, added.

Shapes: `U` users, `C` candidates, `M` models.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from textrec.protocol.metrics import fold_recall
from textrec.protocol.splits import Fold

__all__ = ["best_weights", "blended_recall", "scale_of"]

FloatArray = npt.NDArray[np.float32]

STEPS = (0.2, 0.1, 0.05)
"""How much weight moves from one model to another at a time, coarse first."""


def scale_of(scores: FloatArray) -> FloatArray:
    """Mean and standard deviation of each user's scores, [U, 2]; the deviation is 1 where all scores are equal.

    Scores that differ by the rounding of float32 are equal.
    """
    deviation = scores.std(1)
    differ = deviation > np.maximum(1e-6 * np.abs(scores).max(1), 1e-12)
    return np.stack([scores.mean(1), np.where(differ, deviation, 1.0)], 1).astype(np.float32)


def blended_recall(fold: Fold, scores: Sequence[FloatArray], weights: npt.NDArray[np.float64]) -> float:
    """What the weights are chosen by: the mean of Recall@10 and Recall@50 on a fold (Recall@10 alone in small ones).

    Args:
        fold: held-out likes and their candidates.
        scores: of each model, on the scale of the user [U, C].
        weights: [M].
    """
    share = weights.astype(np.float32)

    def score(block: npt.NDArray[np.int64]) -> FloatArray:
        total: FloatArray = share[0] * scores[0][block]
        for weight, part in zip(share[1:], scores[1:], strict=True):
            total += weight * part[block]
        return total

    ks = (10, 50) if len(fold.candidates) >= 250 else (10,)
    return float(np.mean([fold_recall(fold, score, k) for k in ks]))


def best_weights(fold: Fold, scores: Sequence[FloatArray]) -> tuple[npt.NDArray[np.float64], float]:
    """Weights ≥ 0 that add up to 1 [M], and the recall they reach.

    From the best of equal weights and each model alone, weight moves from one model to another as long as that helps,
    in ever smaller steps.
    """
    count = len(scores)
    starts = [np.full(count, 1 / count), *np.eye(count)] if count > 1 else [np.ones(1)]
    reached = [blended_recall(fold, scores, start) for start in starts]
    best, weights = max(reached), starts[int(np.argmax(reached))]
    for step in STEPS:
        moved = True
        while moved:
            moved = False
            for source, target in itertools.permutations(range(count), 2):
                taken = min(step, weights[source])
                if taken < 1e-9:
                    continue
                tried = weights.copy()
                tried[source] -= taken
                tried[target] += taken
                if (value := blended_recall(fold, scores, tried)) > best:
                    best, weights, moved = value, tried, True
    return weights, best
