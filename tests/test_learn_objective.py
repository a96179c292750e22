from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.learn.factors import objective
from textrec.learn.objective import Objective, solve_around

TERMS = Objective(1.0, 0.05, 0.1, 1.0, 0.01, 0.05, 1.0, "last", 40, item_tag_weight=1.0, item_absent_tag_weight=0.03)


def two_camps() -> tuple[sp.csr_array, sp.csr_array, npt.NDArray[np.float32]]:
    """Ten users like items 0 to 9, ten others 10 to 19; tag 0 is on the first camp's items and on 20, which one user of
    the second camp likes; nobody likes 21, which has tag 0 too; texts say nothing."""
    likes = np.zeros((20, 22), np.float32)
    rng = np.random.default_rng(0)
    likes[:10, :10], likes[10:, 10:20] = (rng.random((2, 10, 10)) < 0.6).astype(np.float32)
    likes[10, 20] = 1
    tags = np.zeros((22, 2), np.float32)
    tags[:10, 0], tags[10:20, 1], tags[20:, 0] = 1, 1, 1
    return sp.csr_array(likes), sp.csr_array(tags), rng.normal(0, 0.1, (22, 4)).astype(np.float32)


def test_tags_of_an_item_bring_it_to_those_who_like_such_items() -> None:
    likes, tags, text = two_camps()
    users, items = solve_around(TERMS, text, likes, tags)
    plain_users, plain_items = solve_around(TERMS, text, likes)
    with_tags, without = users[:10] @ items[20], plain_users[:10] @ plain_items[20]
    assert with_tags.mean() > without.mean() + 0.05
    np.testing.assert_array_equal(items[21], text[21])  # a new item stays at its text


def test_without_a_weight_tags_change_nothing() -> None:
    likes, tags, text = two_camps()
    for found, expected in zip(
        solve_around(replace(TERMS, item_tag_weight=0.0), text, likes, tags),
        solve_around(TERMS, text, likes),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_users_and_items_are_a_minimum() -> None:
    likes, _, text = two_camps()
    users, items = solve_around(TERMS, text, likes)
    liked = np.diff(likes.T.tocsr().indptr) > 0

    def loss(users: npt.NDArray[np.float32], items: npt.NDArray[np.float32]) -> float:
        terms = {"unobserved": 0.05, "ridge_users": 0.1, "ridge_items": 1.0, "prior": text, "in_gram": liked}
        return objective(likes, users, items, **terms)

    lowest = loss(users, items)
    rng = np.random.default_rng(1)
    for _ in range(20):
        moved = users + rng.normal(0, 0.01, users.shape), items + rng.normal(0, 0.01, items.shape) * liked[:, None]
        assert loss(*(part.astype(np.float32) for part in moved)) > lowest


def test_offsets_can_be_left_out() -> None:
    likes, tags, text = two_camps()
    np.testing.assert_array_equal(solve_around(replace(TERMS, offsets="none"), text, likes, tags)[1], text)
