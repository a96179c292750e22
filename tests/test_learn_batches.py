from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textrec.learn.batches import cut, encoding_batches, length_buckets


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


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 50), st.integers(1, 20))
def test_encoding_batches_hold_every_text_once_by_length(lengths: list[int], tokens: int, texts: int) -> None:
    batches = encoding_batches(np.array(lengths, np.int64), tokens, texts, 4 * tokens)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert (np.diff(np.array(lengths)[np.concatenate(batches)]) >= 0).all()
    assert all(sum(lengths[row] for row in batch) <= 4 * tokens + 40 for batch in batches)


def test_encoding_batches_of_long_texts_hold_enough_of_them() -> None:
    short, long, longest = (encoding_batches(np.full(1000, n), 2048, 64, 1 << 14) for n in (10, 160, 1000))
    assert [len(batches[1]) for batches in (short, long, longest)] == [205, 64, 16]


def test_a_batch_of_long_texts_is_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textrec.learn.batches.STEP_TOKENS", 1000)
    rng = np.random.default_rng(0)
    lengths = np.repeat([10, 150, 5000], 40)
    batches = length_buckets(np.arange(120), lengths, 40, rng)
    assert sorted(np.concatenate(batches)) == list(range(120))
    assert sorted(map(len, batches)) == sorted([40, *[7] * 4, *[6] * 2, *[1] * 40])
