from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from textrec.learn.batches import cut, length_buckets


def test_cut_keeps_the_order() -> None:
    assert [part.tolist() for part in cut(np.arange(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=300), st.integers(1, 20), st.integers(0, 99))
def test_buckets_hold_every_example_once(lengths: list[int], size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = length_buckets(rng.permutation(len(lengths)), np.array(lengths), size, rng)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert max(len(batch) for batch in batches) <= size


def test_texts_of_one_length_keep_each_other_company_and_batches_come_mixed() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 200, 8192)
    batches = length_buckets(rng.permutation(8192), lengths, 64, rng)
    mean, longest = (np.array([f(lengths[batch]) for batch in batches]) for f in (np.mean, np.max))
    assert (longest - mean).mean() < 10
    assert abs(np.corrcoef(mean[1:], mean[:-1])[0, 1]) < 0.3
