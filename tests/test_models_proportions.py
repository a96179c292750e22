from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.models.proportions import (
    map_proportions,
    negative_log_likelihood,
    project_to_simplex,
    reestimate_topics,
    step_proportions,
)


def problem(seed: int, n: int = 30, k: int = 6, v: int = 12) -> tuple[Any, Any, Any, Any]:
    """θ, items, counts (some rows empty) and topics."""
    rng = np.random.default_rng(seed)
    theta = rng.dirichlet(np.full(k, 0.3), n).astype(np.float32).clip(1e-6)
    theta /= theta.sum(1, keepdims=True)
    items = (theta + rng.normal(0, 0.3, (n, k))).astype(np.float32)
    counts = sp.csr_array(rng.poisson(0.5, (n, v)).astype(np.float32) * (np.arange(n) % 7 > 0)[:, None])
    topics = rng.dirichlet(np.full(v, 0.3), k).astype(np.float32).clip(1e-8)
    return theta, items, counts, topics


def objective(theta: Any, items: Any, counts: Any, topics: Any, ridge: float, liked: Any) -> Any:
    """J of each document, written down as in the design."""
    words = counts.toarray() * np.log(theta.astype(np.float64) @ topics)
    near = 0.5 * ridge * np.square(theta - items).sum(1) * liked
    return near - words.sum(1) - np.log(theta, dtype=np.float64).sum(1)


@given(st.integers(0, 1000), st.sampled_from([0.1, 10.0, 100.0, 1000.0]))
@settings(max_examples=30)
def test_a_step_stays_on_the_simplex_and_no_document_gets_worse(seed: int, ridge: float) -> None:
    theta, items, counts, topics = problem(seed)
    liked = np.arange(len(theta)) % 3 > 0
    before = objective(theta, items, counts, topics, ridge, liked)
    for _ in range(4):
        theta = step_proportions(theta, items, counts, topics, ridge=ridge, liked=liked)
        after = objective(theta, items, counts, topics, ridge, liked)
        assert (theta > 0).all()
        np.testing.assert_allclose(theta.sum(1), 1, atol=1e-5)
        assert (after <= before + 1e-5 * np.abs(before) + 1e-5).all()
        before = after


def test_many_steps_reach_the_minimum() -> None:
    theta, items, counts, topics = problem(0, n=4)
    liked = np.ones(4, bool)
    for _ in range(3000):
        theta = step_proportions(theta, items, counts, topics, ridge=50.0, liked=liked)
    reached = objective(theta, items, counts, topics, 50.0, liked)
    rng = np.random.default_rng(0)
    for scale in (0.3, 0.03, 0.003):  # no neighbour is better
        other = theta * np.exp(rng.normal(0, scale, (200, *theta.shape))).astype(np.float32)
        other /= other.sum(2, keepdims=True)
        values = np.array([objective(one, items, counts, topics, 50.0, liked) for one in other])
        assert (values >= reached - 2e-3).all()


@given(st.integers(0, 1000))
@settings(max_examples=30)
def test_the_projection_is_the_nearest_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 1, (5, 4)).astype(np.float32)
    projected = project_to_simplex(points)
    np.testing.assert_allclose(projected.sum(1), 1, atol=1e-5)
    assert (projected >= 0).all()
    others = rng.dirichlet(np.ones(4), 300)
    nearest = np.square(points[:, None] - others).sum(2).min(1)
    assert (np.square(points - projected).sum(1) <= nearest + 1e-6).all()
    np.testing.assert_allclose(project_to_simplex(projected), projected, atol=1e-6)


def test_the_topic_step_never_lowers_the_likelihood() -> None:
    theta, _, counts, topics = problem(3)
    values = [negative_log_likelihood(theta, counts, topics)]
    for _ in range(5):
        topics = reestimate_topics(theta, counts, topics)
        np.testing.assert_allclose(topics.sum(1), 1, atol=1e-5)
        values.append(negative_log_likelihood(theta, counts, topics))
    assert all(after <= before + 1e-3 for before, after in pairwise(values))
    assert values[-1] < values[0] - 1


def test_negative_log_likelihood_by_hand() -> None:
    theta, topics = np.array([[0.25, 0.75]], np.float32), np.array([[0.5, 0.5], [0.1, 0.9]], np.float32)
    counts = sp.csr_array(np.array([[2.0, 0.0]], np.float32))
    expected = -2 * np.log(0.2) - np.log(0.25 * 0.75) - 0.01 * np.log(0.5 * 0.5 * 0.1 * 0.9)
    assert negative_log_likelihood(theta, counts, topics) == pytest.approx(expected, rel=1e-6)


def test_proportions_of_new_texts() -> None:
    topics = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)
    counts = sp.csr_array(np.array([[0, 0], [8, 0], [0, 8], [4, 4]], np.float32))
    theta = map_proportions(counts, topics)
    np.testing.assert_allclose(theta[[0, 3]], 0.5, atol=1e-4)
    assert theta[1, 0] > 0.8
    np.testing.assert_allclose(theta[1], theta[2, ::-1], atol=1e-5)
