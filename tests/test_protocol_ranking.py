from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textrec.dataset import binary_csr
from textrec.errors import ArgumentError, LeakError
from textrec.protocol.ranking import rank_blocks, rank_likes, ranks_of, top_k

NONE = -np.inf
# few distinct values, so that ties are the rule
score_values = st.sampled_from([-np.inf, -2.0, -1.0, -0.0, 0.0, 1e-40, 0.5, 0.5000001, 3.0, np.inf])


@st.composite
def blocks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, and disjoint masks of seen and test likes."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 9)))
    scores = draw(hnp.arrays(np.float32, shape, elements=score_values.map(np.float32)))
    kind = draw(hnp.arrays(np.int8, shape, elements=st.integers(0, 2)))
    return scores, kind == 1, kind == 2


def csr(mask: np.ndarray):
    return binary_csr(*np.nonzero(mask), mask.shape)


def slow_order(scores: np.ndarray, seen: np.ndarray) -> list[int]:
    """Columns that are not seen, best first, ties by column."""
    return sorted(np.flatnonzero(~seen).tolist(), key=lambda column: (-scores[column], column))


def test_top_k_breaks_ties_by_lower_column():
    columns, values = top_k(np.array([[1, 3, 3, 2, 3]], np.float32), 3)
    assert columns.tolist() == [[1, 2, 4]]
    assert values.tolist() == [[3, 3, 3]]
    assert columns.dtype == np.int64
    assert values.dtype == np.float32


def test_top_k_breaks_a_tie_at_the_end_of_the_list():
    columns, _ = top_k(np.array([[1, 0, 5, 1, 1, 0], [0, 0, 0, 0, 0, 0]], np.float32), 3)
    assert columns.tolist() == [[2, 0, 3], [0, 1, 2]]


def test_both_zeros_are_one_score():
    columns, _ = top_k(np.array([[-0.0, 0.0, -0.0]], np.float32), 2)
    assert columns.tolist() == [[0, 1]]


def test_top_k_never_returns_minus_infinity():
    columns, values = top_k(np.array([[NONE, 1, NONE]], np.float32), 3)
    assert columns.tolist() == [[1, -1, -1]]
    assert values.tolist() == [[1, NONE, NONE]]


def test_top_k_is_as_wide_as_the_candidates():
    assert top_k(np.ones((2, 3), np.float32), 10)[0].shape == (2, 3)
    assert top_k(np.ones((2, 0), np.float32), 10)[0].shape == (2, 0)
    assert top_k(np.ones((0, 3), np.float32), 10)[0].shape == (0, 3)


def test_top_k_leaves_the_scores_as_they_are():
    scores = np.array([[1, -0.0, 2]], np.float32)
    scores.flags.writeable = False
    top_k(scores, 2)
    assert scores.tolist() == [[1, 0, 2]]


@given(blocks(), st.integers(1, 10))
def test_top_k_equals_a_slow_sort(block, k):
    scores, _, _ = block
    columns, values = top_k(scores, k)
    for row in range(len(scores)):
        wanted = slow_order(scores[row], scores[row] == NONE)[:k]
        found = columns[row][columns[row] >= 0].tolist()
        assert found == wanted
        assert values[row, : len(found)].tolist() == scores[row, wanted].tolist()
        assert (values[row, len(found) :] == NONE).all()


@pytest.mark.parametrize("k", [0, -1, True, 1.5])
def test_k_must_be_a_whole_number(k):
    with pytest.raises(ArgumentError, match=f"k must be a whole number of at least 1, got {k!r}"):
        top_k(np.ones((1, 2), np.float32), k)


def test_nan_is_refused():
    with pytest.raises(ArgumentError, match="got NaN in row 1, column 2; the model has diverged"):
        top_k(np.array([[1, 2, 3], [1, np.inf, np.nan]], np.float32), 1)


def test_scores_must_be_a_matrix():
    with pytest.raises(ArgumentError, match=r"scores must be a matrix \[users, candidates\], got shape \(3,\)"):
        top_k(np.ones(3, np.float32), 1)


def test_ranks_count_from_one_without_seen_candidates():
    scores = np.array([[9, 5, 7, 5, 1]], np.float32)
    seen, test = csr(np.array([[1, 0, 0, 0, 0]])), csr(np.array([[0, 0, 1, 1, 1]]))
    assert ranks_of(scores, seen, test).tolist() == [1, 3, 4]  # 7; 5 behind the 5 of column 1; 1
    assert ranks_of(scores, None, test).tolist() == [2, 4, 5]


def test_all_zero_scores_rank_by_row():
    test = csr(np.array([[0, 1, 0, 1]]))
    assert ranks_of(np.zeros((1, 4), np.float32), None, test).tolist() == [2, 4]


@given(blocks())
def test_ranks_equal_a_slow_count(block):
    scores, seen, test = block
    wanted = [
        slow_order(scores[row], seen[row]).index(column) + 1
        for row in range(len(scores))
        for column in np.flatnonzero(test[row])
    ]
    assert ranks_of(scores, csr(seen), csr(test)).tolist() == wanted


def test_a_test_like_that_is_seen_is_a_leak():
    both = csr(np.array([[0, 1]]))
    with pytest.raises(LeakError, match="1 test likes are also seen likes"):
        ranks_of(np.ones((1, 2), np.float32), both, both)
    with pytest.raises(LeakError, match="1 test likes are also seen likes"):
        rank_likes(lambda rows: np.ones((len(rows), 2), np.float32), 1, both, seen=both)


@given(blocks(), st.integers(1, 10), st.integers(1, 400))
def test_blocks_equal_the_whole(block, k, block_bytes):
    scores, seen, test = block
    rows = np.arange(len(scores))[::-1].copy()  # any order of users
    parts = list(rank_blocks(lambda b: scores[b], rows, scores.shape[1], seen=csr(seen), k=k, block_bytes=block_bytes))
    masked = np.where(seen, NONE, scores)
    columns, values = top_k(masked[rows], k)
    assert np.concatenate([users for users, _, _ in parts]).tolist() == rows.tolist()
    assert np.array_equal(np.concatenate([part for _, part, _ in parts]), columns)
    assert np.array_equal(np.concatenate([part for _, _, part in parts]), values)
    ranks, top = rank_likes(lambda b: scores[b], rows, csr(test), seen=csr(seen), k=k, block_bytes=block_bytes)
    assert np.array_equal(top, columns)
    assert np.array_equal(ranks, ranks_of(scores[rows], csr(seen[rows]), csr(test[rows])))


def test_progress_counts_users_and_scores_may_be_read_only():
    told = []
    scores = np.broadcast_to(np.arange(3, dtype=np.float32), (5, 3))
    for _ in rank_blocks(
        lambda rows: scores[: len(rows)],
        5,
        3,
        seen=csr(np.eye(5, 3)),
        k=1,
        block_bytes=2 * 3 * 20,
        progress=lambda done, total: told.append((done, total)),
    ):
        pass
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert scores.tolist() == [[0, 1, 2]] * 5


def test_scores_of_a_wrong_shape_are_refused():
    with pytest.raises(ArgumentError, match=r"scores must be 2 users × 4 items, got \(2, 3\)"):
        next(rank_blocks(lambda rows: np.ones((len(rows), 3), np.float32), 2, 4))


def test_no_users():
    empty = csr(np.zeros((2, 3)))
    ranks, top = rank_likes(lambda rows: np.ones((len(rows), 3), np.float32), np.zeros(0, np.int64), empty)
    assert len(ranks) == 0
    assert top.shape == (0, 3)
