"""`benchmarks/simulate.py`: the same seed gives the same data, sizes are met, tails are long, text tells who likes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark_scripts import script
from textrec.data.source import read
from textrec.dataset import Dataset
from textrec.study.evaluation import evaluate

ROOT = Path(__file__).parents[1]


simulate = script("simulate")
SIZES = {"users": 3000, "items": 2000, "likes": 60_000, "tokens": 30_000, "tags": 100, "words": 1000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = Path(tmp_path_factory.mktemp("data")) / "simulated"
    simulate.simulate(simulate.Library(**SIZES), target)
    return target


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
    return read(folder)


def test_sizes_are_met_in_expectation(data: Dataset) -> None:
    assert (data.n_users, data.n_items, len(data.items.tag_names)) == (3000, 2000, 100)
    assert data.n_likes == pytest.approx(60_000, rel=0.1)
    assert len(data.items.documents.ids) == pytest.approx(30_000, rel=0.1)
    assert data.likes.has_canonical_format
    assert data.items.tags.has_canonical_format
    assert data.likes_per_user().min() >= 5
    assert data.items.documents.lengths.min() >= 1


def test_tails_are_long(data: Dataset) -> None:
    for counts in (data.likes_per_user(), data.likes_per_item(), data.items.documents.lengths):
        assert np.median(counts) < 0.8 * counts.mean()
        assert counts.max() > 5 * counts.mean()


def test_popular_items_do_not_stand_together(data: Dataset) -> None:
    popular = np.argsort(-data.likes_per_item())[:200]
    assert np.abs(np.histogram(popular, bins=4, range=(0, 2000))[0] - 50).max() < 25


def test_topics_of_rows_undo_rows_of() -> None:
    library = simulate.Library(**SIZES)
    topics, ranks = np.divmod(np.arange(library.items), library.topics)[::-1]
    rows = library.rows_of(topics, ranks)
    assert len(np.unique(rows)) == library.items
    np.testing.assert_array_equal(library.topics_of(rows), topics)


def test_the_seed_decides(tmp_path: Path, data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    simulate.simulate(simulate.Library(**SIZES), same)
    assert read(same).equals(data)
    arguments = [part for name, value in SIZES.items() for part in (f"--{name}", str(value))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["simulate.py", *arguments, "--seed", "1", "--out", str(other)])
        simulate.main()
    assert json.loads(capsys.readouterr().out)["likes"] == read(other).n_likes
    assert not read(other).equals(data)


def test_blocks_continue_each_other(tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "BLOCK", 700)
    simulate.simulate(simulate.Library(**SIZES), tmp_path / "blocks")
    again = read(tmp_path / "blocks")
    assert again.n_users == data.n_users
    assert again.n_likes == pytest.approx(data.n_likes, rel=0.05)


def test_text_tells_who_will_like_an_item(data: Dataset) -> None:
    found = evaluate(data, "tfidf", folds=[0]).result["mean"]
    assert found["recall@50"] > 3 * 50 / found["candidates"]


def test_bad_sizes() -> None:
    with pytest.raises(SystemExit, match="at least 1 user, 40 items"):
        simulate.Library(items=10)
    with pytest.raises(SystemExit, match="likes must be from one a user to a twentieth"):
        simulate.Library(users=100, items=100, likes=1000)
    with pytest.raises(SystemExit, match="tokens must be at least one an item"):
        simulate.Library(tokens=1)
