"""Shares of likes and words left out: known answers and slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textrec.dataset import binary_csr
from textrec.learn.factors import solve_fold_in
from textrec.learn.reasons import like_shares, occlusion
from textrec.text import Documents

WEIGHTS = {"ridge": 0.1, "observed": 1.0, "unobserved": 0.01}


def test_the_share_of_a_single_like_by_hand() -> None:
    # one factor: u = a v / (b VᵀV + (a−b) v² + λ) = 2 / (0.02 + 0.99 · 4 + 0.1)
    liked, target = np.array([[2.0]], np.float32), np.array([[3.0]], np.float32)
    found = like_shares(liked, target, gram=np.array([[2.0]]), **WEIGHTS)
    assert found.tolist() == [[pytest.approx(3 * 2 / (0.01 * 2 + 0.99 * 4 + 0.1))]]


@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 6))
def test_shares_add_up_to_the_score(seed: int, n_likes: int, n_factors: int) -> None:
    rng = np.random.default_rng(seed)
    pool = rng.normal(size=(20, n_factors)).astype(np.float32)
    targets = rng.normal(size=(4, n_factors)).astype(np.float32)
    likes = binary_csr([0] * n_likes, range(n_likes), (1, 20))
    user = solve_fold_in(likes, pool, pool=pool, **WEIGHTS)
    shares = like_shares(pool[:n_likes], targets, gram=pool.T.astype(np.float64) @ pool, **WEIGHTS)
    assert shares.shape == (n_likes, 4)
    np.testing.assert_allclose(shares.sum(0), (user @ targets.T)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bag", [False, True])
def test_occlusion_is_what_the_score_loses_without_the_word(bag: bool) -> None:
    documents = Documents.from_texts(["a b c", "", "b b", "d"])
    if bag:
        documents = Documents.from_bags(documents.words, documents.matrix())
    values = np.random.default_rng(0).normal(size=len(documents.words))

    def score(some: Documents) -> np.ndarray:
        return np.array([sum(values[some.words.index(w)] for w in some.row_words(row)) for row in range(len(some))])

    found = occlusion(documents, score)
    counts = np.ones(len(documents.ids)) if documents.counts is None else documents.counts
    np.testing.assert_allclose(found, values[documents.ids] * counts, rtol=1e-5)


def test_occlusion_of_nothing() -> None:
    assert len(occlusion(Documents.from_texts(["", ""]), lambda documents: np.zeros(len(documents)))) == 0
