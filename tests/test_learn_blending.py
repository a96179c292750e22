"""Weights of a blend: the best of a fine grid is found, scales are z-scores."""

from __future__ import annotations

import numpy as np
import pytest

from textrec.data.sample import sample
from textrec.learn.blending import best_weights, blended_recall, scale_of
from textrec.protocol.splits import Fold, split


@pytest.fixture(scope="module")
def fold() -> Fold:
    data = sample().filtered(min_likes=5, min_tag_items=10)
    return split(data, "cold", seed=0).fold(data, 0)


def noisy(fold: Fold, seed: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (fold.test_likes.toarray() + rng.normal(0, noise, fold.test_likes.shape)).astype(np.float32)


def test_scale_is_mean_and_deviation() -> None:
    scores = np.array([[1, 2, 3, 6], [5, 5, 5, 5]], np.float32)
    np.testing.assert_allclose(scale_of(scores), [[3, np.sqrt(3.5)], [5, 1]], rtol=1e-6)


def test_rounding_is_no_difference_between_scores() -> None:
    scores = np.full((1, 1000), 0.3, np.float32)
    scores[0, ::2] = np.nextafter(np.float32(0.3), np.float32(1))
    assert scale_of(scores)[0, 1] == 1


def test_two_models_reach_the_best_of_the_grid(fold: Fold) -> None:
    scores = [noisy(fold, 1, 0.4), noisy(fold, 2, 0.6)]
    weights, value = best_weights(fold, scores)
    grid = [blended_recall(fold, scores, np.array([w, 1 - w])) for w in np.linspace(0, 1, 21)]
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert value >= max(grid) - 0.005
    assert value > max(grid[0], grid[-1])


def test_a_useless_model_gets_next_to_nothing(fold: Fold) -> None:
    good, noise = noisy(fold, 1, 0.3), noisy(fold, 3, 1e6) / 1e6
    weights, _ = best_weights(fold, [good, noise.astype(np.float32), noisy(fold, 4, 0.3)])
    assert weights[1] < 0.2
    assert best_weights(fold, [good])[0].tolist() == [1.0]
