from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from textrec.data.sample import sample
from textrec.errors import ConfigError
from textrec.learn.factors import objective
from textrec.models.factorisation import Als, TextAls, ridge_regression
from textrec.registry import create

SMALL = {"factors": 12}


@pytest.mark.parametrize("ridge", [0.01, 1.0, 100.0])
def test_ridge_regression_is_the_closed_form(ridge: float) -> None:
    rng = np.random.default_rng(0)
    rows = sp.csr_array(rng.random((40, 15)) * (rng.random((40, 15)) < 0.3))
    targets = rng.normal(0, 1, (40, 4)).astype(np.float32)
    targets[:, 3] = 0
    dense = rows.toarray()
    expected = np.linalg.solve(dense.T @ dense + ridge * np.eye(15), dense.T @ targets)
    np.testing.assert_allclose(ridge_regression(rows, targets, ridge), expected, atol=1e-4)


def test_als_rounds_lower_its_objective() -> None:
    data = sample()
    values = []
    for sweeps in (1, 2, 5, 15):
        model = create("als", SMALL | {"sweeps": sweeps}).fit(data)
        assert isinstance(model, Als)
        values.append(objective(data.likes, model._users, model._items, ridge_users=0.1, ridge_items=1.0))
    assert values == sorted(values, reverse=True)


def test_an_item_nobody_likes_stays_at_zero() -> None:
    data = sample()
    likes = data.likes.tolil()
    likes[:, 7] = 0
    model = create("als", SMALL).fit(data.with_likes(sp.csr_array(likes)))
    assert isinstance(model, Als)
    assert not model._items[7].any()


def test_text_als_maps_texts_near_their_factors() -> None:
    data = sample()
    model = create("text-als", SMALL | {"ridge_text": 0.01}).fit(data)
    assert isinstance(model, TextAls)
    read, own = model.encode(data.items), model._items
    assert np.square(read - own).sum() < 0.2 * np.square(own).sum()
    stiff = create("text-als", SMALL | {"ridge_text": 1e4}).fit(data)
    assert np.abs(stiff.encode(data.items)).max() < 0.1 * np.abs(own).max()


def test_ctrl_c_keeps_the_rounds_that_were_done() -> None:
    data = sample()

    def stop(event: Any) -> None:
        if event["epoch"] == 2:
            raise KeyboardInterrupt

    stopped = create("als", SMALL).fit(data, monitor=stop)
    assert (stopped.report.interrupted, stopped.report.epochs) == (True, 2)
    straight = create("als", SMALL | {"sweeps": 2}).fit(data)
    np.testing.assert_array_equal(stopped.score(None), straight.score(None))


def test_weights_must_differ() -> None:
    with pytest.raises(ConfigError, match=r"unobserved must be below observed, got 1\.0 and 1\.0"):
        create("als", {"unobserved": 1.0})
