"""Kernel ridge regression against its definition, one user at a time in float64; Nyström against the whole kernel."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from textrec.errors import DataError
from textrec.learn.kernel_ridge import ExactRidge, Nystrom

A, B, RIDGE = 1.0, 0.1, 0.5


def problem(seed: int, n: int = 25, users: int = 9) -> tuple[np.ndarray, sp.csr_array]:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 4)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    likes = (rng.random((users, n)) < 0.25).astype(np.float32)
    likes[0] = 0
    return np.exp((points @ points.T - 1) / 0.3), sp.csr_array(likes)


def by_definition(kernel: np.ndarray, likes: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Coefficients of one user: the minimiser of Σ c (r − K α)² + λ αᵀKα over the items of `among`."""
    among = np.arange(len(kernel)) if among is None else among
    weight = np.where(likes > 0, A, B)[among]
    matrix = weight[:, None] * kernel[np.ix_(among, among)].astype(np.float64) + RIDGE * np.eye(len(among))
    found = np.zeros(len(kernel))
    found[among] = np.linalg.solve(matrix, weight * likes[among])
    return found


@given(st.integers(0, 10_000))
def test_every_user_is_the_minimiser(seed: int) -> None:
    kernel, likes = problem(seed)
    solver = ExactRidge.of(kernel.copy(), A, B, RIDGE)
    found = solver.coefficients(solver.weights(likes))
    expected = np.stack([by_definition(kernel, row) for row in likes.toarray()])
    np.testing.assert_allclose(kernel @ found.T, kernel @ expected.T, atol=2e-5)


def test_many_users_are_solved_in_parts(monkeypatch) -> None:
    kernel, likes = problem(3, users=40)
    together = ExactRidge.of(kernel.copy(), A, B, RIDGE).weights(likes).data
    monkeypatch.setattr("textrec.learn.kernel_ridge.BATCH_FLOATS", 50)
    np.testing.assert_allclose(ExactRidge.of(kernel.copy(), A, B, RIDGE).weights(likes).data, together, rtol=1e-5)


def test_leaving_an_item_out_is_a_factor() -> None:
    """For a user with no like at all but the far ones the rule is exact in the limit of equal weights."""
    kernel, likes = problem(5)
    row = likes.toarray()[4]
    a = B + 1e-6  # equal weights: there the rule is exact
    solver = ExactRidge.of(kernel.copy(), a, B, RIDGE)
    scores = (kernel @ solver.coefficients(solver.weights(likes)).T)[:, 4] * solver.left_out
    for item in np.flatnonzero(row == 0)[:6]:
        others = np.delete(np.arange(len(kernel)), item)
        matrix = B * kernel[np.ix_(others, others)].astype(np.float64) + RIDGE * np.eye(len(others))
        alone = kernel[item, others] @ np.linalg.solve(matrix, B * row[others])
        assert scores[item] == pytest.approx(alone, rel=1e-3, abs=1e-6)


def test_fold_in_of_known_items_is_the_training_solve() -> None:
    kernel, likes = problem(1)
    solver = ExactRidge.of(kernel.copy(), A, B, RIDGE)
    trained = solver.coefficients(solver.weights(likes))[4]
    liked = likes[[4]].indices
    weights, spread = solver.fold_in(
        sp.csr_array(np.ones((1, len(liked)), np.float32)), liked.astype(np.int64), kernel[liked]
    )
    np.testing.assert_allclose((weights @ spread)[0], trained, rtol=1e-4, atol=1e-5)


def test_a_new_item_like_one_of_the_pool_counts_nearly_as_much() -> None:
    kernel, _ = problem(2)
    solver = ExactRidge.of(kernel.copy(), A, B, 0.01)
    one = sp.csr_array(np.ones((1, 1), np.float32))
    known, spread = solver.fold_in(one, np.array([7]), kernel[[7]])
    copy, spread_of_copy = solver.fold_in(one, np.array([-1]), kernel[[7]])
    scores, of_copy = ((weights @ rows @ kernel)[0] for weights, rows in ((known, spread), (copy, spread_of_copy)))
    assert np.corrcoef(scores, of_copy)[0, 1] > 0.99
    assert np.argmax(of_copy) == 7
    both, rows = solver.fold_in(sp.csr_array(np.ones((1, 2), np.float32)), np.array([7, -1]), kernel[[7, 3]])
    mixed = (both @ rows @ kernel)[0]
    assert set(np.argsort(-mixed)[:2]) == {7, 3}


def test_a_kernel_that_is_none_is_refused() -> None:
    kernel = np.array([[1, 50.0], [50.0, 1]], np.float32)
    with pytest.raises(DataError, match=r"is not positive at ridge 0\.5; raise the ridge"):
        ExactRidge.of(kernel, A, B, RIDGE)


def test_nystrom_with_all_landmarks_is_the_kernel_and_comes_near_with_some() -> None:
    kernel, _ = problem(4, n=120)
    errors = []
    for m in (20, 60, 120):
        phi = Nystrom.of(kernel[:m, :m]).features(kernel[:, :m])
        errors.append(np.abs(phi @ phi.T - kernel).mean())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3
