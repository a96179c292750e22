"""The best items for all users: the lists of `recommend`, exactly or nearly, as a stream."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from textrec.cli import main
from textrec.data.sample import simulate
from textrec.errors import ArgumentError
from textrec.learn.recommender import Recommender
from textrec.model_folder import save
from textrec.registry import create
from textrec.retrieval import everyone
from textrec.retrieval.everyone import recommend_everyone

SETTINGS = {"epochs": 2, "factors": 8, "min_count": 1, "refit_epochs": 0}


@pytest.fixture(scope="module")
def model() -> Recommender:
    data = simulate(n_users=150, n_items=400, likes_per_user=8).dataset
    return create("embed", SETTINGS).fit(data)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everyone, "BLOCK", 40)


def same(mine: pl.DataFrame, theirs: pl.DataFrame) -> None:
    assert mine.schema == theirs.schema
    for column in ("user_id", "rank", "item_id"):
        assert mine[column].equals(theirs[column])
    np.testing.assert_allclose(mine["score"], theirs["score"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_exact_search_is_recommend(model: Recommender, exclude_seen: bool) -> None:
    found = recommend_everyone(model, k=7, exclude_seen=exclude_seen)
    frames = list(found.frames)
    assert [frame["user_id"].n_unique() for frame in frames] == [0, 40, 40, 40, 30]
    assert (found.approximate, found.recall) == (False, 1.0)
    same(pl.concat(frames), model.recommend(k=7, exclude_seen=exclude_seen))


def test_new_items_and_some_users(model: Recommender) -> None:
    rows, items = np.array([3, 149, 7]), ["5", "9", "Graph networks for protein folding"]
    found = recommend_everyone(model, k=2, items=items, users=rows)
    names = model.data.users.names(rows).to_list()
    same(pl.concat(list(found.frames)), model.recommend(names, k=2, items=items))


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_approximate_search_finds_nearly_all(model: Recommender, exclude_seen: bool) -> None:
    found = recommend_everyone(model, k=10, search="approximate", exclude_seen=exclude_seen)
    assert found.approximate
    assert found.recall >= 0.98
    near = pl.concat(list(found.frames))
    exact = model.recommend(k=10, exclude_seen=exclude_seen)
    pairs = ["user_id", "item_id"]
    assert len(near.join(exact, on=pairs)) >= 0.98 * len(exact)
    assert len(near) == len(exact)
    if exclude_seen:
        users, items = model.data.likes.nonzero()
        likes = pl.DataFrame([model.data.users.names(users), model.data.items.ids.names(items)], schema=pairs)
        assert len(near.join(likes, on=pairs)) == 0


def test_auto_is_approximate_for_many_items(model: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not recommend_everyone(model, k=5).approximate
    monkeypatch.setattr("textrec.retrieval.index.APPROXIMATE_ABOVE", 100)
    monkeypatch.setattr("textrec.retrieval.cells.WORTH", 0)  # looking into that many cells is not worth it,
    monkeypatch.setattr("textrec.retrieval.graph.RECALL", 1.01)  # and a graph does not find enough
    assert not recommend_everyone(model, k=5).approximate
    monkeypatch.setattr("textrec.retrieval.cells.WORTH", 1)
    assert recommend_everyone(model, k=5).approximate


def test_models_that_are_no_dot_product(model: Recommender) -> None:
    other = create("tfidf-knn").fit(model.data)
    same(pl.concat(list(recommend_everyone(other, k=3).frames)), other.recommend(k=3))
    some = recommend_everyone(other, k=3, users=np.array([2, 1]))
    same(pl.concat(list(some.frames)), other.recommend(other.data.users.names(np.array([2, 1])).to_list(), k=3))
    with pytest.raises(ArgumentError, match=r"the model 'tfidf-knn' is no dot product.*use --search exact"):
        recommend_everyone(other, k=3, search="approximate")


def test_bad_arguments(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="search must be auto, exact or approximate, got 'fast'"):
        recommend_everyone(model, search="fast")  # type: ignore[arg-type]
    from textrec.model_folder import load

    nameless = load(save(model, tmp_path / "model", with_likes=False))
    with pytest.raises(ArgumentError, match="saved without likes"):
        recommend_everyone(nameless)
    assert list(recommend_everyone(nameless, exclude_seen=False).frames)


def test_the_command(model: Recommender, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = str(save(model, tmp_path / "model")), tmp_path / "recs.parquet"
    arguments = ["recommend", folder, "--all-users", "-k", "5", "--out", str(out)]
    assert main([*arguments, "--search", "approximate"]) == 0
    assert "(approximate: " in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert '"search": "exact"' in capsys.readouterr().out
    same(pl.read_parquet(out), model.recommend(k=5))
    assert main([*arguments, "--search", "fast"]) == 2
    assert "--search must be auto, exact or approximate, got 'fast'" in capsys.readouterr().err
    assert main(["recommend", folder, "--user", "1", "--search", "exact"]) == 2
    assert "--search is for --all-users" in capsys.readouterr().err


def test_a_cluster_says_the_same_of_its_lists(
    model: Recommender, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here without Ray, which test_cluster_ray has."""

    def blocks(model: Recommender, cluster: str, workers: int, threads: int, **asked: Any) -> Any:
        return model.recommend_blocks(**asked)

    monkeypatch.setattr("textrec.cluster.session.check_address", lambda cluster: None)
    monkeypatch.setattr("textrec.cluster.using.recommend_blocks", blocks)
    arguments = ["recommend", str(save(model, tmp_path / "model")), "--all-users", "--out", str(tmp_path / "r.parquet")]
    assert main([*arguments, "--json"]) == 0
    alone = capsys.readouterr().out
    assert main([*arguments, "--json", "--cluster", "local"]) == 0
    assert capsys.readouterr().out == alone


def test_a_kill_leaves_nothing_under_the_final_name(model: Recommender, tmp_path: Path) -> None:
    folder, out = save(model, tmp_path / "model"), tmp_path / "out" / "recs.parquet"
    out.parent.mkdir()
    script = f"""
        import sys, time
        from textrec.retrieval import everyone, index
        from textrec.cli import main
        everyone.BLOCK = 10
        search = index.top_products
        def slow(*arguments, **named):
            print("block", flush=True)
            time.sleep(0.2)
            return search(*arguments, **named)
        index.top_products = slow
        main(["recommend", {str(folder)!r}, "--all-users", "--out", {str(out)!r}])
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == "block\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not out.exists()
    assert all(path.name.startswith(".recs.parquet.") for path in out.parent.iterdir())
