from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.data.sample import sample
from textrec.data.source import read
from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.learn.alternation import Alternation, FactorLoss
from textrec.learn.tensors import to_tensor
from textrec.models.ctr import CtrModel
from textrec.models.topic_reader import TopicReader
from textrec.protocol.splits import split
from textrec.registry import create
from textrec.study.evaluation import evaluate
from textrec.text import Documents

LOSS = FactorLoss(1.0, 0.01, 0.01, 10.0, tag_weight=0.7, absent_tag_weight=0.05, ridge_tags=0.2)
SMALL = {"factors": 12, "topic_passes": 5}


def dense_objective(blocks: Alternation) -> float:
    """L as the design writes it, pair by pair."""
    loss = blocks.loss
    users, items, theta, tags = (
        part.double().numpy() for part in (blocks.users, blocks.items, blocks.theta, blocks.tag_vectors)
    )
    r = blocks.likes.toarray()
    c = np.where(r > 0, loss.observed, loss.unobserved) * blocks.liked
    total = (c * (r - users @ items.T) ** 2).sum() + loss.ridge_users * (users**2).sum()
    total += loss.ridge_items * ((items - theta)[blocks.liked] ** 2).sum()
    if blocks.tags is not None:
        t = blocks.tags.toarray()
        c = np.where(t > 0, 1, loss.absent_tag_weight) * blocks.tagged[:, None]
        total += loss.tag_weight * (c * (t - items @ tags.T) ** 2).sum() + loss.ridge_tags * (tags**2).sum()
    return float(total)


def problem(seed: int, *, with_tags: bool) -> Alternation:
    """Some items have no like, some no tag, some neither; one user likes nothing."""
    rng = np.random.default_rng(seed)
    likes = rng.random((9, 14)) < 0.25
    likes[0], likes[:, 3], likes[:, 4] = False, False, False
    tags = rng.random((14, 6)) < 0.3
    tags[4], tags[5] = False, False
    theta = rng.dirichlet(np.full(4, 0.5), 14).astype(np.float32)
    sparse_tags = binary_csr(*tags.nonzero(), tags.shape) if with_tags else None
    return Alternation(binary_csr(*likes.nonzero(), likes.shape), theta, LOSS, tags=sparse_tags)


@given(st.integers(0, 500), st.booleans())
@settings(max_examples=25)
def test_no_block_raises_the_objective(seed: int, with_tags: bool) -> None:
    blocks = problem(seed, with_tags=with_tags)
    values = [blocks.objective()]
    assert values[0] == pytest.approx(dense_objective(blocks), rel=1e-5)
    for _ in range(4):
        for solve in (blocks.solve_users, blocks.solve_items, blocks.solve_tags):
            solve()
            values.append(blocks.objective())
            assert values[-1] == pytest.approx(dense_objective(blocks), rel=1e-5)
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(values))


@pytest.mark.parametrize("with_tags", [True, False])
def test_every_block_is_the_exact_minimiser(with_tags: bool) -> None:
    blocks = problem(3, with_tags=with_tags)
    blocks.sweep()
    blocks.sweep()
    rng = np.random.default_rng(0)
    for solve, name, free in (
        (blocks.solve_users, "users", np.ones(9, bool)),
        (blocks.solve_items, "items", blocks.liked),
        (blocks.solve_tags, "tag_vectors", np.ones(len(blocks.tag_vectors), bool)),
    ):
        solve()
        best, solution = dense_objective(blocks), getattr(blocks, name)
        for _ in range(20):
            moved = rng.normal(0, 0.05, solution.shape) * free[:, None]
            setattr(blocks, name, solution + to_tensor(moved))
            assert dense_objective(blocks) >= best - 1e-6
        setattr(blocks, name, solution)


def test_items_nobody_likes_keep_their_proportions() -> None:
    blocks = problem(0, with_tags=True)
    blocks.sweep()
    np.testing.assert_array_equal(blocks.items[[3, 4]], blocks.theta[[3, 4]])
    assert not np.allclose(blocks.items[blocks.liked], blocks.theta[blocks.liked])
    assert not blocks.users[0].any()


def losses(name: str, data: Dataset, **config: Any) -> list[float]:
    seen: list[float] = []
    create(name, config).fit(data, monitor=lambda event: "loss" in event and seen.append(event["loss"]))
    return seen


@pytest.mark.parametrize("name", ["ctr", "ctr-mtl"])
@pytest.mark.parametrize("proportions", ["fixed", "optimised"])
def test_the_objective_never_rises_on_the_sample(name: str, proportions: str) -> None:
    seen = losses(name, sample().filtered(), **SMALL, proportions=proportions, min_sweeps=25, sweeps=25)
    assert len(seen) == 25
    assert all(after <= before + 1e-5 * abs(before) for before, after in pairwise(seen))
    assert seen[-1] < seen[0]


@pytest.mark.real
@pytest.mark.parametrize("name", ["ctr", "ctr-mtl"])
def test_the_objective_never_rises_on_real_data(name: str, real_data: Path) -> None:
    data = read(real_data / "citeulike-t").filtered()
    part = data.take_users(np.arange(0, data.n_users, 10)).take_items(np.arange(0, data.n_items, 3))
    seen = losses(name, part, factors=30, topic_passes=2, min_sweeps=1, sweeps=6, tolerance=0.0)
    assert len(seen) == 6
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(seen))


def test_it_stops_when_the_objective_stands_still() -> None:
    data = sample().filtered()
    assert len(losses("ctr", data, **SMALL, tolerance=1e-3, min_sweeps=3)) < 200
    assert len(losses("ctr", data, **SMALL, tolerance=0.9, min_sweeps=7)) == 7
    assert len(losses("ctr", data, **SMALL, sweeps=2)) == 2


def test_cold_items_are_ranked_by_their_proportions() -> None:
    data = sample().filtered()
    found = {name: evaluate(data, name, folds=[0], config=SMALL).result["mean"] for name in ("ctr", "lda", "ctr-mtl")}
    chance = evaluate(data, "ctr", folds=[0], config=SMALL | {"topic_passes": 0}).result["mean"]
    for mean in found.values():
        assert mean["recall@10"] > 1.5 * chance["recall@10"]
    assert found["ctr-mtl"]["tag_recall@50"] >= 0.5


def test_transductive_reads_cold_texts_and_gives_them_their_proportions() -> None:
    data = sample().filtered()
    fold = split(data, "cold").fold(data, 0, transductive=True)
    model = create("ctr", SMALL).fit(fold.train)
    assert isinstance(model, CtrModel)
    rows = fold.train.items.ids.rows(fold.candidates.ids)
    np.testing.assert_array_equal(model._items[rows], model._theta[rows])


def test_optimised_proportions_move_and_read_new_texts_with_the_moved_topics() -> None:
    data = sample().filtered()
    fixed = create("ctr", SMALL | {"sweeps": 5}).fit(data)
    moved = create("ctr", SMALL | {"sweeps": 5, "proportions": "optimised"}).fit(data)
    assert isinstance(fixed, CtrModel)
    assert isinstance(moved, CtrModel)
    assert np.abs(fixed._theta - moved._theta).max() > 0.01
    np.testing.assert_allclose(moved._topics.sum(1), 1, atol=1e-4)  # β, not Dirichlet parameters
    vectors = moved.encode(["Graph networks for protein folding", "zzz qqq"])
    np.testing.assert_allclose(vectors.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[1], 1 / 12, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ctr", {"ridge_items": 1.0}),
        ("ctr", {"doc_prior": 1.0}),
        ("ctr", {"word_prior": 0.05}),
        ("ctr", {"max_words": 50}),
        ("ctr", {"min_items": 30}),
        ("ctr", {"topic_start": "scikit-learn"}),
        ("ctr", {"unobserved": 0.1}),
        ("ctr", {"observed": 2.0}),
        ("ctr", {"ridge_users": 1.0}),
        ("ctr-mtl", {"tag_weight": 20.0}),
        ("ctr-mtl", {"absent_tag_weight": 0.5}),
        ("ctr-mtl", {"ridge_tags": 5.0}),
    ],
)
def test_every_setting_changes_something(name: str, change: dict[str, Any]) -> None:
    data = sample().filtered()
    few = SMALL | {"sweeps": 2}
    plain, other = create(name, few).fit(data), create(name, few | change).fit(data)
    assert not np.allclose(plain.score(None), other.score(None), rtol=1e-3)


def test_without_tags_ctr_mtl_is_ctr() -> None:
    data = sample()
    items = data.items.without_tags()
    bare = Dataset(data.users, items, data.likes)
    config = SMALL | {"sweeps": 3}
    plain, mtl = create("ctr", config).fit(bare), create("ctr-mtl", config).fit(bare)
    np.testing.assert_array_equal(plain.score(None), mtl.score(None))
    assert mtl.tag_scores(["Graph networks"]).shape == (1, len(items.tag_names))


def test_ctrl_c_keeps_what_was_done() -> None:
    data = sample().filtered()

    def stop_at(event_name: str, number: int) -> Any:
        def monitor(event: Any) -> None:
            if event["event"] == event_name and event.get("epoch", event.get("pass")) == number:
                raise KeyboardInterrupt

        return monitor

    stopped = create("ctr-mtl", SMALL).fit(data, monitor=stop_at("epoch", 3))
    assert stopped.report.interrupted
    assert stopped.report.epochs == 3
    straight = create("ctr-mtl", SMALL | {"sweeps": 3}).fit(data)
    np.testing.assert_array_equal(stopped.score(None), straight.score(None))
    early = create("ctr", SMALL).fit(data, monitor=stop_at("topics", 2))
    assert early.report.interrupted
    assert early.report.epochs == 0
    assert len(early.recommend(data.users[0], k=3)) == 3


def test_models_share_topics_through_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sample().filtered()
    alone = create("ctr", SMALL).fit(data).score(None)
    cache: dict[str, Any] = {}
    monkeypatch.setattr(TopicReader, "topic_cache", cache)
    create("lda", SMALL).fit(data)
    assert len(cache) == 1
    np.testing.assert_array_equal(create("ctr", SMALL).fit(data).score(None), alone)
    assert len(cache) == 1
    create("lda", SMALL, seed=1).fit(data)
    create("lda", SMALL | {"doc_prior": 0.5}).fit(data)
    assert len(cache) == 3


def test_a_catalogue_without_readable_words_still_trains() -> None:
    documents = Documents.from_texts(["", "", "of the"])
    items = Items.build(["a", "b", "c"], documents=documents)
    data = Dataset(Ids(["u", "v"]), items, binary_csr([0, 1], [0, 1], (2, 3)))
    model = create("ctr", {"factors": 2, "topic_passes": 1}).fit(data)
    assert np.isfinite(model.score(None)).all()
