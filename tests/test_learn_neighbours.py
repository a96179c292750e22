"""What the nearest known texts say of a new one."""

from __future__ import annotations

import numpy as np
import pytest

from textrec.data.sample import sample
from textrec.dataset import Items
from textrec.learn.neighbours import MOST, SHARPNESS, Neighbours, moved_by_likes, spokesmen
from textrec.protocol.splits import hold_out
from textrec.registry import create

CONFIG = {"factors": 8, "epochs": 4, "min_count": 1}


@pytest.mark.parametrize("block_cells", [1 << 24, 40])
def test_a_new_text_is_moved_as_a_slow_count_says(block_cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textrec.learn.neighbours.BLOCK_CELLS", block_cells)
    rng = np.random.default_rng(0)
    text, new = (rng.standard_normal((n, 3)).astype(np.float32) for n in (30, 7))
    items, known = text + rng.standard_normal((30, 3)).astype(np.float32), np.arange(0, 30, 2)
    found = moved_by_likes(text, items, known).mean(new, 4)
    for row, vector in enumerate(new):
        cosines = text[known] @ vector / np.linalg.norm(text[known], axis=1) / np.linalg.norm(vector)
        nearest = np.argsort(-cosines)[:4]
        weights = np.maximum(cosines[nearest], 0) ** SHARPNESS
        expected = weights @ (items - text)[known[nearest]] / weights.sum()
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-6)


def test_nobody_moves_a_text_without_words_or_without_neighbours() -> None:
    one = np.ones((1, 3), np.float32)
    assert not Neighbours.of(one, one, 8).mean(np.zeros((1, 3), np.float32), 5).any()
    assert not Neighbours.of(one[:0], one[:0], 8).mean(one, 5).any()
    assert not Neighbours.of(one, one, 8).mean(one, 0).any()


def test_those_with_the_most_likes_speak_for_a_large_catalogue() -> None:
    assert spokesmen(np.array([0, 3, 0, 1])).tolist() == [1, 3]
    likes = np.ones(MOST + 5, np.int64)
    likes[[2, 7]], likes[3] = 9, 0
    found = spokesmen(likes)
    assert len(found) == MOST
    assert {2, 7} <= set(found.tolist())
    assert 3 not in found
    assert (np.diff(found) > 0).all()


def test_an_item_stands_where_it_would_as_a_new_one_until_it_is_liked() -> None:
    fold = hold_out(sample(), "cold", seed=0, fold=0, transductive=True)
    unliked = fold.candidates
    again = Items.build([f"again {item}" for item in unliked.ids], documents=unliked.documents)
    alone, moved = (create("embed", CONFIG | {"neighbours": n}).fit(fold.train) for n in (0, 20))
    np.testing.assert_allclose(moved.score(None, list(unliked.ids)), moved.score(None, again), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(alone.encode(again), moved.encode(again))
    assert not np.allclose(alone.score(None, again), moved.score(None, again))
