from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from textrec.cli import main
from textrec.data.sample import sample
from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.errors import DataError
from textrec.registry import create


def liked_by(n_users: int, n_items: int, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    likes = rng.random((n_users, n_items)) < 0.2
    likes[0, 0] = True
    items = Items.build([f"i{row}" for row in range(n_items)])
    users = Ids([f"u{row}" for row in range(n_users)])
    return Dataset(users, items, binary_csr(*likes.nonzero(), likes.shape))


def dense_ease(likes: Any, ridge: float) -> Any:
    """Scores as the paper computes them, through the whole matrix B."""
    x = likes.toarray().astype(np.float64)
    inverse = np.linalg.inv(x.T @ x + ridge * np.eye(x.shape[1]))
    weights = -inverse / inverse.diagonal()
    np.fill_diagonal(weights, 0)
    return x @ weights


@pytest.mark.parametrize("shape", [(30, 12), (12, 30), (20, 20)])
@pytest.mark.parametrize("ridge", [0.5, 100.0])
def test_ease_is_the_closed_form_on_either_side(shape: tuple[int, int], ridge: float) -> None:
    data = liked_by(*shape)
    model = create("ease", {"ridge": ridge}).fit(data)
    np.testing.assert_allclose(model.score(None), dense_ease(data.likes, ridge), atol=2e-5)
    some = [data.items.ids[row] for row in (7, 2, 9)]
    np.testing.assert_allclose(model.score(None, some), dense_ease(data.likes, ridge)[:, [7, 2, 9]], atol=2e-5)


def test_ease_never_predicts_an_item_from_itself() -> None:
    likes = binary_csr([0, 0, 1, 1, 2], [0, 1, 0, 1, 2], (3, 3))  # nobody links item 2 to another
    data = Dataset(Ids("abc"), Items.build("xyz"), likes)
    scores = create("ease", {"ridge": 0.1}).fit(data).score(None)
    assert scores[0, 1] > 0.5
    np.testing.assert_allclose(scores[2], 0, atol=1e-6)


def test_ease_refuses_a_matrix_that_is_too_large() -> None:
    with pytest.raises(DataError, match=r"ease would invert 12 × 12 numbers .*most is 10; raise most .* or take als"):
        create("ease", {"most": 10}).fit(liked_by(12, 30))


def test_neighbours_by_hand() -> None:
    titles = pl.Series(["red apple", "red apple pie", "blue sky", "blue sea", "red sky"])
    likes = binary_csr([0, 1, 1], [0, 2, 4], (2, 5))
    data = Dataset(Ids(["u", "v"]), Items.build("abcde", titles=titles), likes)
    config = {"neighbours": 2, "power": 2.0, "min_items": 1, "ngrams": 1}
    model = create("tfidf-knn", config).fit(data)
    rows = create("tfidf", {"min_items": 1, "ngrams": 1}).fit(data).encode(list(titles))
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, 0)
    expected = np.zeros((2, 5))
    for item in range(5):
        near = sorted((0, 2, 4), key=lambda other: -cosines[item, other])[:2]  # only liked items are neighbours
        for user in range(2):
            expected[user, item] = sum(cosines[item, other] ** 2 for other in near if likes[user, other])
    np.testing.assert_allclose(model.score(None), expected, atol=1e-6)


def test_every_neighbour_counts_when_there_are_few() -> None:
    data = sample()
    few, many = (create("tfidf-knn", {"neighbours": n}).fit(data) for n in (3, 10_000))
    assert (few.score(None) <= many.score(None) + 1e-6).all()
    text = f"{data.items.titles[5]}\n{data.items.texts[5]}"
    known, new = many.score(None, [data.items.ids[5]]), many.score(None, [text])
    assert np.corrcoef(known[:, 0], new[:, 0])[0, 1] > 0.5  # a copy of a known item; it alone is its own neighbour


def test_training_refuses_without_likes_before_it_starts(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["train", "sample", "--model", "ease", "--without-likes", "--out", str(tmp_path / "m")])
    assert code == 2
    assert "'ease' ranks by the likes themselves, so it cannot be saved without them" in capsys.readouterr().err
