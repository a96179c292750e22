"""The losses against their formulas, one like after the other in NumPy."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.learn.losses import Pairs
from textrec.learn.ranking_losses import RankingLoss, ranking_loss

KINDS: tuple[RankingLoss, ...] = get_args(RankingLoss)


def slow(kind: RankingLoss, vectors: Any, users: Any, liked: Any, scale: float) -> float:
    """Sums over the likes of `liked` [B, U]."""
    z, total = scale * vectors @ users.T, 0.0
    for document, user in np.argwhere(liked):
        others = [z[other, user] for other in range(len(z)) if not liked[other, user]]
        own = z[document, user]
        if kind == "softmax":
            total -= np.log(np.exp(own) / (np.exp(own) + np.exp(others).sum()))
        elif kind == "bpr":
            total += sum(np.log(1 + np.exp(other - own)) for other in others) / max(len(others), 1)
        else:
            wrong = [1 - own + other for other in others if 1 - own + other > 0]
            total += sum(1 / k for k in range(1, len(wrong) + 1)) * sum(wrong) / max(len(wrong), 1)
    return total / scale


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 8), density=st.floats(0, 1))
def test_it_is_the_formula(kind: RankingLoss, seed: int, scale: float, density: float) -> None:
    rng = np.random.default_rng(seed)
    likes = rng.random((6, 9)) < density
    vectors, users = rng.normal(size=(4, 3)), rng.normal(size=(9, 3))
    rows = np.array([5, 0, 3, 2])
    pairs = Pairs.of(sp.csr_array(likes.astype(np.float32)), rows)
    found = ranking_loss(kind, torch.from_numpy(vectors), torch.from_numpy(users), pairs, scale)
    np.testing.assert_allclose(found.item(), slow(kind, vectors, users, likes[rows], scale), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_known_answers(kind: RankingLoss) -> None:
    """One user, scores 1 (liked), 0 and −2 (not), κ = 2."""
    vectors, users = torch.tensor([[1.0], [0.0], [-2.0]]), torch.ones(1, 1)
    pairs = Pairs(torch.tensor([0]), torch.tensor([0]))
    expected = {
        "softmax": np.log(1 + np.exp(-2) + np.exp(-6)) / 2,
        "bpr": (np.log(1 + np.exp(-2)) + np.log(1 + np.exp(-6))) / 2 / 2,
        "warp": 0.0,  # both are more than 1 behind
    }
    assert ranking_loss(kind, vectors, users, pairs, 2.0).item() == pytest.approx(expected[kind])
    # at κ = 1/4: z = 0.25, 0, −0.5: both are less than 1 behind, rank 2, Φ(2)/2 = 3/4
    if kind == "warp":
        assert ranking_loss(kind, vectors, users, pairs, 0.25).item() == pytest.approx(4 * 3 / 4 * (0.75 + 0.25))


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_who_likes_the_whole_batch_has_a_finite_gradient(kind: RankingLoss) -> None:
    vectors = torch.ones(2, 3, requires_grad=True)
    users = torch.ones(2, 3)
    pairs = Pairs(torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]))
    ranking_loss(kind, vectors, users, pairs, 5.0).backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_steps_bring_likes_above_the_rest(kind: RankingLoss) -> None:
    rng = np.random.default_rng(0)
    users = torch.from_numpy(rng.normal(size=(12, 6)).astype(np.float32))
    likes = sp.csr_array((rng.random((8, 12)) < 0.3).astype(np.float32))
    vectors = torch.zeros(8, 6, requires_grad=True)
    pairs = Pairs.of(likes, np.arange(8))
    optimizer = torch.optim.Adam([vectors], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (ranking_loss(kind, vectors, users, pairs, 3.0) + 0.01 * vectors.square().sum()).backward()
        optimizer.step()
    scores, liked = (vectors @ users.T).detach().numpy(), likes.toarray() > 0
    right = [(scores[liked[:, u], u][:, None] > scores[~liked[:, u], u]).mean() for u in range(12) if liked[:, u].any()]
    assert np.mean(right) > 0.9  # by chance 0.5; six dimensions cannot hold all of it
