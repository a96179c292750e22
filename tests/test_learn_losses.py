from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.learn.losses import Pairs, all_users_loss, tag_loss


def random_matrix(rng: np.random.Generator, rows: int, columns: int) -> sp.csr_array:
    return sp.csr_array((rng.random((rows, columns)) < 0.4).astype(np.float32))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.5, 3), st.floats(0, 0.4))
def test_the_gram_form_is_the_dense_loss(seed: int, observed: float, unobserved: float) -> None:
    rng = np.random.default_rng(seed)
    likes = random_matrix(rng, 6, 9)
    vectors, users = rng.normal(size=(4, 3)), rng.normal(size=(9, 3))
    rows = np.array([5, 0, 3, 2])
    r = likes.toarray()[rows]
    weights = np.where(r > 0, observed, unobserved)
    dense = (weights * (r - vectors @ users.T) ** 2).sum()
    u = torch.from_numpy(users)
    found = all_users_loss(torch.from_numpy(vectors), u, u.T @ u, Pairs.of(likes, rows), observed, unobserved)
    np.testing.assert_allclose(found.item(), dense, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 2))
def test_tag_loss_is_the_weighted_cross_entropy_with_the_minus(seed: int, absent: float) -> None:
    rng = np.random.default_rng(seed)
    tags = random_matrix(rng, 5, 7)
    vectors, factors, bias = rng.normal(size=(3, 4)), rng.normal(size=(7, 4)), rng.normal(size=7)
    rows = np.array([4, 1, 2])
    t = tags.toarray()[rows].astype(np.float64)
    p = 1 / (1 + np.exp(-(vectors @ factors.T + bias)))
    dense = -(t * np.log(p) + absent * (1 - t) * np.log(1 - p)).sum()
    found = tag_loss(
        torch.from_numpy(vectors), torch.from_numpy(factors), torch.from_numpy(bias), Pairs.of(tags, rows), absent
    )
    np.testing.assert_allclose(found.item(), dense, rtol=1e-9, atol=1e-9)


def test_pairs_number_rows_within_the_batch() -> None:
    matrix = sp.csr_array(np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], np.float32))
    pairs = Pairs.of(matrix, np.array([2, 1, 0]))
    assert pairs.rows.tolist() == [0, 2, 2]
    assert pairs.columns.tolist() == [0, 1, 2]
    assert len(Pairs.of(matrix, np.zeros(0, np.int64)).rows) == 0
