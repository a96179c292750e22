"""Items that weigh differently where nobody liked them; CTR's tests hold the rest (`test_models_ctr`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from textrec.learn.alternation import Alternation, FactorLoss, popularity_weights

LOSS = FactorLoss(1.0, 0.05, 0.3, 2.0, tag_weight=0.7, absent_tag_weight=0.1, ridge_tags=0.5)
USERS, ITEMS, TAGS, K = 14, 11, 4, 3


@pytest.fixture
def world() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    likes = (rng.random((USERS, ITEMS)) < rng.random(ITEMS) * 0.7).astype(np.float32)
    likes[:, 4] = 0
    tags = (rng.random((ITEMS, TAGS)) < 0.4).astype(np.float32)
    tags[7] = 0
    theta = rng.normal(0, 0.5, (ITEMS, K)).astype(np.float32)
    weights = popularity_weights(likes.sum(0).astype(int), 0.8)
    return {"likes": likes, "tags": tags, "theta": theta, "weights": weights}


def new(world: dict[str, Any], *, tags: bool = True) -> Alternation:
    given = sp.csr_array(world["tags"]) if tags else None
    return Alternation(sp.csr_array(world["likes"]), world["theta"], LOSS, tags=given, weights=world["weights"])


def dense(world: dict[str, Any], users: Any, items: Any, tag_vectors: Any) -> float:
    """L of the module's docstring, number by number."""
    likes, w, theta = world["likes"], world["weights"], world["theta"]
    liked, tagged = likes.any(0), world["tags"].any(1)
    s = users @ items.T
    a, b = LOSS.observed, LOSS.unobserved
    total = (likes * ((a - b) * s**2 - 2 * a * s + a)).sum() + b * (w * liked * s**2).sum()
    total += LOSS.ridge_users * (users**2).sum() + LOSS.ridge_items * ((items - theta)[liked] ** 2).sum()
    present = world["tags"][tagged]
    c = np.where(present > 0, 1, LOSS.absent_tag_weight)
    total += LOSS.tag_weight * (c * (present - items[tagged] @ tag_vectors.T) ** 2).sum()
    return float(total + LOSS.ridge_tags * (tag_vectors**2).sum())


def test_popularity_weights_have_mean_one_over_liked_items() -> None:
    weights = popularity_weights(np.array([0, 1, 4, 16]), 0.5)
    assert weights is not None
    assert weights.tolist() == pytest.approx([0, 3 / 7, 6 / 7, 12 / 7])
    assert popularity_weights(np.array([1, 2]), 0.0) is None
    flat = popularity_weights(np.array([3, 3, 0]), -1.0)
    assert flat is not None
    assert flat.tolist() == [1, 1, 0]


def test_each_block_is_the_minimum_of_the_dense_loss(world: dict[str, Any]) -> None:
    blocks = new(world)
    for _ in range(2):
        blocks.sweep()
    rng = np.random.default_rng(0)
    blocks.solve_users()
    for solve, name in (
        (blocks.solve_users, "users"),
        (blocks.solve_items, "items"),
        (blocks.solve_tags, "tag_vectors"),
    ):
        solve()
        state = {part: getattr(blocks, part).double().numpy() for part in ("users", "items", "tag_vectors")}
        lowest = dense(world, **state)
        for _ in range(10):
            moved = dict(state)
            step = rng.normal(0, 0.02, state[name].shape)
            if name == "items":
                step[~world["likes"].any(0)] = 0  # an item without likes stays at θ
            moved[name] = state[name] + step
            assert dense(world, **moved) > lowest


def test_users_and_items_solve_the_weighted_normal_equations(world: dict[str, Any]) -> None:
    blocks = new(world, tags=False)
    a, b, likes, w = LOSS.observed, LOSS.unobserved, world["likes"], world["weights"]
    blocks.solve_users()
    v, liked = world["theta"].astype(np.float64), likes.any(0)
    for row in range(USERS):
        own = v[likes[row] > 0]
        left = b * (v.T * (w * liked)) @ v + (a - b) * own.T @ own + LOSS.ridge_users * np.eye(K)
        np.testing.assert_allclose(blocks.users[row], np.linalg.solve(left, a * own.sum(0)), atol=1e-5)
    blocks.solve_items()
    u = blocks.users.double().numpy()
    for row in np.flatnonzero(liked):
        own = u[likes[:, row] > 0]
        left = b * w[row] * u.T @ u + (a - b) * own.T @ own + LOSS.ridge_items * np.eye(K)
        right = a * own.sum(0) + LOSS.ridge_items * v[row]
        np.testing.assert_allclose(blocks.items[row], np.linalg.solve(left, right), atol=1e-5)


def test_the_objective_is_the_dense_loss_and_never_rises(world: dict[str, Any]) -> None:
    blocks = new(world)
    last = np.inf
    for _ in range(3):
        for solve in (blocks.solve_users, blocks.solve_items, blocks.solve_tags):
            solve()
            now = blocks.objective()
            state = {part: getattr(blocks, part).double().numpy() for part in ("users", "items", "tag_vectors")}
            assert now == pytest.approx(dense(world, **state), rel=1e-5)
            assert now <= last + 1e-6
            last = now


def test_equal_weights_are_no_weights(world: dict[str, Any]) -> None:
    plain, ones = (new(world | {"weights": weights}) for weights in (None, np.ones(ITEMS, np.float32)))
    for blocks in (plain, ones):
        blocks.sweep()
    np.testing.assert_allclose(plain.items, ones.items, atol=1e-6)
    np.testing.assert_allclose(plain.users, ones.users, atol=1e-6)
