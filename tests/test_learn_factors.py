"""Exact solves against dense NumPy solutions, the dense loss, and implicit's exact ALS."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from textrec.dataset import binary_csr
from textrec.errors import ArgumentError
from textrec.learn import factors as factors_module
from textrec.learn import squared_loss as squared_loss_module
from textrec.learn.factors import objective, solve, solve_factors, solve_fold_in
from textrec.learn.squared_loss import Block, gram_matrix, squared_loss
from textrec.learn.tensors import to_tensor


def random_likes(rng: np.random.Generator, n_rows: int, n_columns: int, density: float) -> Any:
    """Random likes whose rows run from empty to nearly full."""
    chance = density * rng.random((n_rows, 1)) * 2
    return binary_csr(*np.nonzero(rng.random((n_rows, n_columns)) < chance), (n_rows, n_columns))


def random_factors(rng: np.random.Generator, n: int, k: int) -> Any:
    return rng.normal(0, 0.5, (n, k)).astype(np.float32)


def dense_solution(blocks: list[Block], ridge: float, prior: Any) -> Any:
    """The formula of the design, one row after the other, in float64."""
    n_rows, k = blocks[0].matrix.shape[0], blocks[0].factors.shape[1]
    solved = np.zeros((n_rows, k))
    for row in range(n_rows):
        left, right = ridge * np.eye(k), ridge * prior[row].astype(np.float64)
        for block in blocks:
            if block.rows_in is not None and not block.rows_in[row]:
                continue
            v = block.factors.double().numpy()
            target = block.matrix[[row]].toarray()[0]
            weight = block.weight * np.where(target > 0, block.observed, block.unobserved)
            weight *= 1 if block.columns_in is None else block.columns_in
            left = left + (v.T * weight) @ v
            right = right + v.T @ (weight * target)
        solved[row] = np.linalg.solve(left, right)
    return solved


def dense_loss(block: Block, x: Any) -> float:
    target = block.matrix.toarray()
    weight = block.weight * np.where(target > 0, block.observed, block.unobserved)
    if block.rows_in is not None:
        weight = weight * block.rows_in[:, None]
    if block.columns_in is not None:
        weight = weight * block.columns_in
    return float((weight * (target - x.astype(np.float64) @ block.factors.double().numpy().T) ** 2).sum())


def assert_rows_close(actual: Any, expected: Any, tolerance: float = 1e-4) -> None:
    """Relative error of every row."""
    error = np.linalg.norm(actual - expected, axis=1)
    assert (error <= tolerance * np.linalg.norm(expected, axis=1) + 1e-7).all(), error.max()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 30),
    n_columns=st.integers(1, 40),
    k=st.integers(1, 24),
    density=st.floats(0, 0.6),
    a=st.floats(0.1, 10),
    share=st.floats(0.001, 0.9),
    ridge=st.floats(0.01, 100),
    has_prior=st.booleans(),
    has_mask=st.booleans(),
)
def test_one_block_equals_the_dense_solution_row_by_row(
    seed: int,
    n_rows: int,
    n_columns: int,
    k: int,
    density: float,
    a: float,
    share: float,
    ridge: float,
    has_prior: bool,
    has_mask: bool,
) -> None:
    rng = np.random.default_rng(seed)
    likes, other = random_likes(rng, n_rows, n_columns, density), random_factors(rng, n_columns, k)
    prior = random_factors(rng, n_rows, k)
    mask = rng.random(n_columns) < 0.7 if has_mask else None
    solved = solve_factors(
        likes,
        other,
        ridge=ridge,
        observed=a,
        unobserved=a * share,
        prior=prior if has_prior else None,
        in_gram=mask,
    )
    block = Block(likes, torch.from_numpy(other), a, a * share, columns_in=mask)
    assert solved.dtype == np.float32
    assert_rows_close(solved, dense_solution([block], ridge, prior if has_prior else 0 * prior))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 16),
    weight=st.floats(0.01, 10),
    ridge=st.floats(0.01, 100),
    masked=st.booleans(),
)
def test_two_blocks_equal_the_dense_solution_where_some_rows_have_no_tags(
    seed: int, k: int, weight: float, ridge: float, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    blocks = [
        Block(random_likes(rng, 25, 30, 0.2), torch.from_numpy(random_factors(rng, 30, k))),
        Block(
            random_likes(rng, 25, 12, 0.4),
            torch.from_numpy(random_factors(rng, 12, k)),
            observed=1.0,
            unobserved=0.05,
            weight=weight,
            rows_in=rng.random(25) < 0.6 if masked else None,
            columns_in=rng.random(12) < 0.8 if masked else None,
        ),
    ]
    prior = random_factors(rng, 25, k)
    solved = solve(blocks, ridge, prior=torch.from_numpy(prior))
    assert_rows_close(solved.numpy(), dense_solution(blocks, ridge, prior))
    rows = np.array([20, 3, 3, 7])
    assert_rows_close(solve(blocks, ridge, prior=torch.from_numpy(prior), rows=rows).numpy(), solved.numpy()[rows])


@pytest.mark.parametrize("k", [40, 200])
@pytest.mark.parametrize("ridge", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("rank", [5, 200])
def test_float32_is_accurate_for_large_k_and_long_rows(k: int, ridge: float, rank: int) -> None:
    rng = np.random.default_rng(k)
    likes = sp.csr_array(sp.vstack([random_likes(rng, 10, 400, 0.05), random_likes(rng, 8, 400, 0.9)]))
    assert np.diff(likes.indptr).max() > 200 > np.diff(likes.indptr).min()
    other = (rng.normal(0, 0.5, (400, rank)) @ rng.normal(0, rank**-0.5, (rank, k))).astype(np.float32)
    prior = random_factors(rng, 18, k)
    solved = solve_factors(likes, other, ridge=ridge, prior=prior)
    assert_rows_close(solved, dense_solution([Block(likes, torch.from_numpy(other))], ridge, prior))


def test_a_row_in_no_block_is_its_prior() -> None:
    rng = np.random.default_rng(0)
    nobody = np.zeros(4, np.bool_)
    block = Block(random_likes(rng, 4, 6, 0.5), torch.from_numpy(random_factors(rng, 6, 3)), rows_in=nobody)
    prior = torch.from_numpy(random_factors(rng, 4, 3))
    torch.testing.assert_close(solve([block], 0.1, prior=prior), prior)
    assert not solve([block], 0.1).any()


def test_no_likes_give_zero_without_a_prior_and_the_shrunk_prior_with_one() -> None:
    rng = np.random.default_rng(1)
    likes = binary_csr([1, 1], [0, 4], (3, 5))
    other, prior = random_factors(rng, 5, 4), random_factors(rng, 3, 4)
    assert not solve_factors(likes, other, ridge=0.1)[[0, 2]].any()
    shrunk = np.linalg.solve(0.01 * other.T @ other + 0.1 * np.eye(4), 0.1 * prior[0])
    np.testing.assert_allclose(solve_factors(likes, other, ridge=0.1, prior=prior)[0], shrunk, rtol=1e-4)
    assert solve_factors(binary_csr([], [], (0, 5)), other, ridge=0.1).shape == (0, 4)
    assert (
        solve_factors(binary_csr([], [], (2, 0)), np.zeros((0, 4), np.float32), ridge=1.0).tolist() == [[0.0] * 4] * 2
    )


def test_the_prior_pulls_harder_as_the_ridge_grows() -> None:
    rng = np.random.default_rng(2)
    likes, other, prior = random_likes(rng, 20, 30, 0.3), random_factors(rng, 30, 8), random_factors(rng, 20, 8)
    distances = [
        np.linalg.norm(solve_factors(likes, other, ridge=ridge, prior=prior) - prior) for ridge in (0.1, 1, 10, 100)
    ]
    assert distances == sorted(distances, reverse=True)
    np.testing.assert_allclose(solve_factors(likes, other, ridge=1e9, prior=prior), prior, atol=1e-6)


def test_batches_equal_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    likes, other, prior = random_likes(rng, 60, 80, 0.2), random_factors(rng, 80, 12), random_factors(rng, 60, 12)
    together = solve_factors(likes, other, ridge=0.5, prior=prior)
    alone = [solve_factors(likes[[row]], other, ridge=0.5, prior=prior[[row]])[0] for row in range(60)]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(factors_module, "BATCH_FLOATS", 1)
    monkeypatch.setattr(squared_loss_module, "SLICE_ROWS", 7)
    np.testing.assert_allclose(solve_factors(likes, other, ridge=0.5, prior=prior), together, rtol=1e-4, atol=1e-6)


def test_rows_joined_in_parts_equal_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    blocks = [
        Block(random_likes(rng, 40, 30, 0.2), torch.from_numpy(random_factors(rng, 30, 8))),
        Block(
            random_likes(rng, 40, 12, 0.4),
            torch.from_numpy(random_factors(rng, 12, 8)),
            rows_in=rng.random(40) < 0.6,
        ),
    ]
    prior, rows = torch.from_numpy(random_factors(rng, 40, 8)), rng.permutation(40)
    together = solve(blocks, 0.5, prior=prior, rows=rows)
    monkeypatch.setattr(factors_module, "ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(solve(blocks, 0.5, prior=prior, rows=rows), together, rtol=1e-4, atol=1e-6)


def test_a_subset_of_rows_equals_those_rows_of_all_and_out_keeps_the_others() -> None:
    rng = np.random.default_rng(4)
    likes, other, prior = random_likes(rng, 30, 40, 0.2), random_factors(rng, 40, 6), random_factors(rng, 30, 6)
    rows = np.array([17, 2, 29])
    full = solve_factors(likes, other, ridge=0.5, prior=prior)
    np.testing.assert_allclose(solve_factors(likes, other, ridge=0.5, prior=prior, rows=rows), full[rows], rtol=1e-5)
    out = prior.copy()
    assert solve_factors(likes, other, ridge=0.5, prior=prior, rows=rows, out=out) is out
    np.testing.assert_allclose(out[rows], full[rows], rtol=1e-5)
    others = np.setdiff1d(np.arange(30), rows)
    np.testing.assert_array_equal(out[others], prior[others])
    np.testing.assert_array_equal(solve_factors(likes, other, ridge=0.5, prior=prior, out=out), full)


def test_frozen_arrays_are_accepted_and_inputs_are_left_alone() -> None:
    rng = np.random.default_rng(5)
    likes, other, prior = random_likes(rng, 10, 20, 0.3), random_factors(rng, 20, 4), random_factors(rng, 10, 4)
    expected = solve_factors(likes, other.copy(), ridge=0.5, prior=prior.copy())
    for array in (other, prior, likes.indices, likes.indptr, likes.data):
        array.flags.writeable = False
    np.testing.assert_array_equal(solve_factors(likes, other, ridge=0.5, prior=prior), expected)


def test_a_read_only_array_is_copied_and_a_writable_one_is_shared() -> None:
    array = np.arange(6.0).reshape(2, 3)
    to_tensor(array)[0, 0] = 7
    assert array[0, 0] == 7
    array.flags.writeable = False
    to_tensor(array)[0, 0] = 8
    assert array[0, 0] == 7
    assert to_tensor(array[::-1]).tolist() == array[::-1].tolist()
    assert to_tensor(np.array(3.0)).shape == ()


@pytest.mark.parametrize("masked", [False, True])
def test_the_objective_equals_the_dense_loss(masked: bool) -> None:
    rng = np.random.default_rng(6)
    likes, users, items = random_likes(rng, 25, 35, 0.2), random_factors(rng, 25, 5), random_factors(rng, 35, 5)
    prior = random_factors(rng, 35, 5)
    mask = rng.random(35) < 0.7 if masked else np.ones(35, np.bool_)
    block = Block(likes, torch.from_numpy(items), 2.0, 0.1, columns_in=mask)
    penalty = 0.3 * (users**2).sum() + 4 * ((items - prior)[mask] ** 2).sum()
    assert objective(
        likes,
        users,
        items,
        ridge_users=0.3,
        ridge_items=4.0,
        observed=2.0,
        unobserved=0.1,
        prior=prior,
        in_gram=mask if masked else None,
    ) == pytest.approx(dense_loss(block, users) + penalty, rel=1e-5)


def test_the_loss_of_a_tag_block_equals_the_dense_loss() -> None:
    rng = np.random.default_rng(7)
    block = Block(
        random_likes(rng, 25, 12, 0.3),
        torch.from_numpy(random_factors(rng, 12, 5)),
        weight=0.7,
        rows_in=rng.random(25) < 0.6,
        columns_in=rng.random(12) < 0.6,
    )
    x = random_factors(rng, 25, 5)
    assert squared_loss(block, torch.from_numpy(x)) == pytest.approx(dense_loss(block, x), rel=1e-5)


def test_each_half_sweep_lowers_the_objective() -> None:
    rng = np.random.default_rng(8)
    likes, prior = random_likes(rng, 60, 80, 0.1), random_factors(rng, 80, 10)
    by_item, liked = sp.csr_array(likes.T), np.bincount(likes.indices, minlength=80) > 0
    items = prior.copy()
    users = random_factors(rng, 60, 10)

    def value() -> float:
        return objective(likes, users, items, ridge_users=0.1, ridge_items=2.0, prior=prior, in_gram=liked)

    values = [value()]
    for _ in range(6):
        users = solve_factors(likes, items, ridge=0.1, in_gram=liked)
        values.append(value())
        solve_factors(by_item, users, ridge=2.0, prior=prior, rows=np.flatnonzero(liked), out=items)
        values.append(value())
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(values))
    assert values[-1] < 0.9 * values[1]
    np.testing.assert_array_equal(items[~liked], prior[~liked])


def test_the_solution_beats_every_small_step_away_from_it() -> None:
    rng = np.random.default_rng(9)
    likes, items = random_likes(rng, 8, 20, 0.3), random_factors(rng, 20, 4)
    users = solve_factors(likes, items, ridge=0.5)
    best = objective(likes, users, items, ridge_users=0.5, ridge_items=0.0)
    for _ in range(10):
        moved = users + 0.05 * random_factors(rng, 8, 4)
        assert objective(likes, moved, items, ridge_users=0.5, ridge_items=0.0) > best


def test_fold_in_equals_the_trained_user_and_takes_new_items_and_a_root_of_the_gram_matrix() -> None:
    rng = np.random.default_rng(10)
    likes, items = random_likes(rng, 12, 30, 0.2), random_factors(rng, 30, 6)
    liked = np.bincount(likes.indices, minlength=30) > 0
    trained = solve_factors(likes, items, ridge=0.1, in_gram=liked)
    folded = solve_fold_in(likes, items, pool=items[liked], ridge=0.1)
    assert_rows_close(folded, trained)
    # The same liked vectors given as new items, beside the pool.
    first = likes.indices[: likes.indptr[1]]
    alone = binary_csr(np.zeros(len(first)), np.arange(len(first)), (1, len(first)))
    assert_rows_close(solve_fold_in(alone, items[first], pool=items[liked], ridge=0.1), trained[:1])
    root = np.linalg.cholesky(gram_matrix(torch.from_numpy(items[liked])).numpy()).T.astype(np.float32)
    assert_rows_close(solve_fold_in(likes, items, pool=root, ridge=0.1), trained)


@pytest.mark.parametrize(("a", "b", "ridge"), [(1.0, 0.01, 0.1), (2.0, 0.5, 3.0)])
def test_sweeps_equal_the_exact_als_of_implicit(a: float, b: float, ridge: float) -> None:
    als = pytest.importorskip("implicit.cpu.als")
    rng = np.random.default_rng(11)
    likes = random_likes(rng, 50, 70, 0.15)
    users, items = random_factors(rng, 50, 8), random_factors(rng, 70, 8)
    # implicit gives unobserved pairs the weight 1: divide the loss by b.
    with threadpool_limits(1, "blas"):
        model = als.AlternatingLeastSquares(
            factors=8, regularization=ridge / b, alpha=a / b, use_cg=False, iterations=3, num_threads=1
        )
        model.user_factors, model.item_factors = users.copy(), items.copy()
        model.fit(sp.csr_matrix(likes), show_progress=False)
    by_item = sp.csr_array(likes.T)
    for _ in range(3):
        users = solve_factors(likes, items, ridge=ridge, observed=a, unobserved=b)
        items = solve_factors(by_item, users, ridge=ridge, observed=a, unobserved=b)
    np.testing.assert_allclose(users, model.user_factors, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(items, model.item_factors, rtol=1e-3, atol=1e-4)


LIKES = binary_csr([0, 1], [1, 2], (2, 3))
OTHER = np.ones((3, 4), np.float32)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ridge": 0.0}, "ridge must be above 0, got 0.0"),
        ({"ridge": float("nan")}, "ridge must be above 0, got nan"),
        ({"observed": 0.01}, "unobserved must be at least 0 and below observed, got 0.01 and 0.01"),
        ({"unobserved": -1.0}, "unobserved must be at least 0 and below observed, got -1.0 and 1.0"),
        ({"other": OTHER[:2]}, "factors must be [3, K], one row a column, got shape (2, 4)"),
        ({"prior": OTHER}, "prior must have shape (2, 4), got (3, 4)"),
        ({"in_gram": np.ones(2, np.bool_)}, "columns_in must be a bool mask of 3, got bool of shape (2,)"),
        ({"in_gram": np.ones(3)}, "columns_in must be a bool mask of 3, got float64 of shape (3,)"),
        ({"rows": np.array([0, 2])}, "rows must be from 0 to 1, got 0 to 2"),
        ({"rows": np.array([-1])}, "rows must be from 0 to 1, got -1 to -1"),
        ({"out": OTHER}, "out must have shape (2, 4), got (3, 4)"),
        ({"other": OTHER * np.nan}, "the factors are not finite, or ridge 1.0 is too small for their size"),
        ({"other": OTHER * 1e12, "ridge": 1e-9}, "the factors are not finite, or ridge 1e-09 is too small"),
    ],
)
def test_a_bad_argument_is_named(changed: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"other": OTHER, "ridge": 1.0, **changed}
    with pytest.raises(ArgumentError, match=re.escape(message)):
        solve_factors(LIKES, **arguments)


def test_bad_blocks_are_named() -> None:
    block = Block(LIKES, torch.ones(3, 4))
    with pytest.raises(ArgumentError, match="weight must be above 0, got 0; leave the block out instead"):
        Block(LIKES, torch.ones(3, 4), weight=0)
    with pytest.raises(ArgumentError, match=r"rows_in must be a bool mask of 2, got bool of shape \(3,\)"):
        Block(LIKES, torch.ones(3, 4), rows_in=np.ones(3, np.bool_))
    with pytest.raises(ArgumentError, match="blocks must have the same number of rows and of factors"):
        solve([block, Block(LIKES, torch.ones(3, 5))], 1.0)
