"""The kernel model: its kernels, exact against Nyström, new users with new texts, folders, bags of words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import tiny_transformer
from textrec.data.sample import sample
from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.errors import ArgumentError, CapabilityError, ConfigError, DataError
from textrec.explanation import explain
from textrec.learn.model import Checkpoint
from textrec.learn.recommender import Recommender
from textrec.model_folder import load, save
from textrec.models.kernel import KernelConfig
from textrec.protocol.metrics import fold_recall
from textrec.protocol.splits import Fold, split
from textrec.registry import create
from textrec.retrieval.everyone import recommend_everyone
from textrec.study.evaluation import evaluate_fold
from textrec.text import Documents

TEXT = "Graph networks for protein folding. We study proteins, not markets."
KERNELS = ("tfidf", "vectors", "sum", "product")


@pytest.fixture(scope="module")
def fold() -> Fold:
    data = sample().filtered(min_likes=5, min_tag_items=10)
    return split(data, "cold", seed=0).fold(data, 0)


def fitted(data: Dataset, **config: object) -> Recommender:
    return create("kernel", {"sentence_model": tiny_transformer.folder()} | config).fit(data)


def recall(model: Recommender, fold: Fold) -> float:
    score, _ = model.scorer(fold.candidates)
    return fold_recall(fold, score, 10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_are_symmetric_positive_and_one_on_the_diagonal(fold: Fold, kernel: str) -> None:
    model = fitted(fold.train, kernel=kernel)
    some = model._features.take(np.arange(40))
    matrix = model._kernel.matrix(some, some)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-4)
    assert np.linalg.eigvalsh(matrix.astype(np.float64)).min() > -1e-4


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_ranks_cold_items_better_than_chance_and_comes_back_from_a_folder(fold: Fold, kernel: str, tmp_path) -> None:
    model = fitted(fold.train, kernel=kernel)
    chance = 10 / len(fold.candidates)
    assert recall(model, fold) > (chance if kernel in ("vectors", "product") else 2 * chance)  # the network is random
    loaded = load(save(model, tmp_path / "model"))
    np.testing.assert_array_equal(loaded.score(None), model.score(None))
    np.testing.assert_allclose(loaded.score(None, [TEXT]), model.score(None, [TEXT]), rtol=1e-5)


def test_nystrom_comes_near_the_exact_solve(fold: Fold, tmp_path) -> None:
    exact = fitted(fold.train, kernel="tfidf")
    scores = exact.score(None, fold.candidates)
    errors = []
    for landmarks in (30, 10_000):
        model = fitted(fold.train, solver="nystrom", landmarks=landmarks)
        near = model.score(None, fold.candidates)
        errors.append(float(np.linalg.norm(near - scores) / np.linalg.norm(scores)))
    assert errors[1] < 0.02 < errors[0]
    assert recall(model, fold) == pytest.approx(recall(exact, fold), abs=0.02)
    loaded = load(save(model, tmp_path / "model"))
    np.testing.assert_allclose(loaded.score(None), model.score(None), rtol=1e-5, atol=1e-6)
    assert loaded.recommend(liked=[TEXT], k=3).equals(model.recommend(liked=[TEXT], k=3))


def test_auto_is_nystrom_above_most_exact(fold: Fold) -> None:
    assert fitted(fold.train, most_exact=10, landmarks=20).encode([TEXT]).shape == (1, 20)
    liked = int((fold.train.likes_per_item() > 0).sum())
    assert fitted(fold.train).encode([TEXT]).shape == (1, liked)


def test_the_collaborative_kernel_tells_known_items_apart(fold: Fold) -> None:
    plain, both = (fitted(fold.train, collaborative=weight) for weight in (0.0, 2.0))
    assert not np.allclose(plain.score(None), both.score(None), atol=1e-3)
    users = list(fold.train.users)[:3]
    known = fold.train.items.ids.names(fold.train.likes[[0]].indices.astype(np.int64)).to_list()
    own, folded = both.recommend(users[0], k=5), both.recommend(liked=known, k=5)
    assert own["item_id"].to_list() == folded["item_id"].to_list()
    with pytest.raises(ConfigError, match="collaborative must be 0 with solver 'nystrom', got 1"):
        KernelConfig(collaborative=1.0, solver="nystrom")
    with pytest.raises(ConfigError, match="unobserved must be below observed, got 2"):
        KernelConfig(unobserved=2.0)


def test_imputed_likes_are_regressed_beside_a_users_own(fold: Fold, tmp_path: Path) -> None:
    weight, unobserved, ridge = 3.0, 0.1, 1.0
    plain, model = (fitted(fold.train, imputed=value) for value in (0.0, weight))
    liked = np.flatnonzero(fold.train.likes_per_item() > 0)
    likes = fold.train.likes[:, liked].toarray().astype(np.float64)
    inverse = np.linalg.inv(likes.T @ likes + 100 * np.eye(len(liked)))
    ease = likes @ (np.eye(len(liked)) - inverse / np.diag(inverse))
    pool = model._features.take(liked)
    kernel = model._kernel.matrix(pool, pool).astype(np.float64)
    new = model._kernel.matrix(model._kernel.read(fold.candidates.documents), pool)
    gain = weight * unobserved * ease @ np.linalg.inv(unobserved * kernel + ridge * np.eye(len(liked))) @ new.T
    np.testing.assert_allclose(
        model.score(None, fold.candidates), plain.score(None, fold.candidates) + gain, rtol=1e-3, atol=1e-4
    )
    assert recall(model, fold) > recall(plain, fold)

    user = fold.train.users[0]
    known = fold.train.items.ids.names(fold.train.likes[[0]].indices.astype(np.int64)).to_list()
    own, folded = (model.recommend(**{**whom, "k": 5}) for whom in ({"users": user}, {"liked": known}))
    assert own["item_id"].to_list() == folded["item_id"].to_list()
    assert model.recommend(liked=[*known, TEXT], k=5).height == 5  # a text has no part in what others liked
    np.testing.assert_allclose(load(save(model, tmp_path / "model")).score(None), model.score(None), rtol=1e-5)
    found = explain(model, TEXT, user=user)
    assert sum(like.share for like in found.because) == pytest.approx(found.score, rel=1e-3, abs=1e-5)
    assert found.score != pytest.approx(explain(plain, TEXT, user=user).score, rel=1e-3)


def test_what_only_the_exact_solver_has_is_refused_with_another(fold: Fold) -> None:
    with pytest.raises(DataError, match="imputed needs the exact solver"):
        fitted(fold.train, imputed=1.0, most_exact=10)
    with pytest.raises(ConfigError, match="imputed must be 0 with solver 'nystrom', got 1"):
        KernelConfig(imputed=1.0, solver="nystrom")


@pytest.mark.parametrize("solver", ["exact", "nystrom"])
def test_shares_of_the_likes_add_up_to_the_score(fold: Fold, solver: str) -> None:
    model = fitted(fold.train, solver=solver)
    found = explain(model, TEXT, user=fold.train.users[3])
    assert sum(like.share for like in found.because) == pytest.approx(found.score, rel=1e-3, abs=1e-5)


def test_a_liked_text_finds_its_likes(fold: Fold) -> None:
    model = fitted(fold.train)
    title = fold.train.items.titles[5]
    best = model.recommend(liked=[f"{title} {fold.train.items.texts[5]}"], k=3)
    assert fold.train.items.ids[5] in best["item_id"].to_list()


def test_sentence_vectors_refuse_bags_of_words(fold: Fold) -> None:
    items = fold.train.items
    bags = Documents.from_bags(items.documents.words, items.documents.matrix())
    bagged = dataclasses.replace(
        fold.train, items=Items.build(items.ids.values, documents=bags, tags=items.tags, tag_names=items.tag_names)
    )
    with pytest.raises(CapabilityError, match="kernel = 'vectors' reads words in order and these are word counts only"):
        fitted(bagged, kernel="vectors")
    assert recall(fitted(bagged), fold) > 0


ENCODERS = (
    "embed-mtl epochs=4 factors=8 min_count=1",
    "gru epochs=2 factors=8 hidden_dim=6 min_count=1",
)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_trained_encoder_reads_for_the_kernel_and_comes_back_from_a_folder(
    fold: Fold, encoder: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textrec.models.text_kernel.SentenceVectors", None)  # no sentence model has a part in it
    events: list[dict] = []
    model = create("kernel", {"kernel": "product", "encoder": encoder}, seed=3)
    model.fit(fold.train, monitor=events.append)
    assert {event["event"] for event in events} >= {"epoch"}
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    users = list(fold.train.users)[:20]
    for asked in (None, fold.candidates, [TEXT]):
        np.testing.assert_allclose(again.score(users, asked), model.score(users, asked), rtol=1e-3, atol=1e-4)
    assert len(explain(again, TEXT, user=users[0]).words) == 13
    new = {"user_id": ["somebody new"] * 2, "item_id": list(fold.train.items.ids)[:2]}
    assert again.update(new).recommend(["somebody new"], k=3).height == 3


def test_an_encoder_of_word_counts_serves_bags(fold: Fold) -> None:
    documents = fold.train.items.documents
    bags = Documents(documents.words, documents.ids, documents.starts, np.ones(len(documents.ids), np.float32))
    data = dataclasses.replace(fold.train, items=dataclasses.replace(fold.train.items, documents=bags))
    model = create("kernel", {"kernel": "vectors", "encoder": ENCODERS[0]}).fit(data)
    assert np.isfinite(model.score(None)).all()
    with pytest.raises(CapabilityError):
        create("kernel", {"kernel": "vectors", "encoder": ENCODERS[1]}).fit(data)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"encoder": "embed"}, "kernel = vectors"),
        ({"kernel": "vectors", "encoder": "als"}, "a model with vectors"),
        ({"kernel": "vectors", "encoder": "kernel"}, "a model with vectors"),
        ({"kernel": "vectors", "encoder": "gru layers=3"}, "layers"),
        ({"kernel": "vectors", "encoder": "nothing"}, "nothing"),
    ],
)
def test_an_encoder_that_cannot_read_for_it_is_refused(config: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create("kernel", config)


def test_ctrl_c_while_the_encoder_is_trained_is_told(fold: Fold) -> None:
    def monitor(event: Mapping[str, object]) -> None:
        if event["event"] == "step" and event["epoch"] == 2:
            raise KeyboardInterrupt

    settings = {"kernel": "vectors", "encoder": "embed epochs=9 factors=8 min_count=1"}
    model = create("kernel", settings).fit(fold.train, monitor=monitor)
    assert (model.report.interrupted, model.report.epochs) == (True, 1)
    with pytest.raises(KeyboardInterrupt):  # a half-trained model has no figures
        evaluate_fold(fold, "kernel", config=settings, monitor=monitor)


def test_the_encoder_goes_on_from_its_checkpoint(fold: Fold, tmp_path: Path) -> None:
    settings = {"kernel": "vectors", "encoder": "embed epochs=3 factors=8 min_count=1"}
    create("kernel", settings).fit(fold.train, checkpoint=Checkpoint(tmp_path))
    events: list[Mapping[str, object]] = []
    create("kernel", settings).fit(fold.train, checkpoint=Checkpoint(tmp_path, resume=True), monitor=events.append)
    assert [event for event in events if event["event"] == "step"] == []


def test_auto_counts_the_items_that_are_ranked(fold: Fold) -> None:
    likes = fold.train.likes.tolil()
    likes[:, 80:] = 0
    data = dataclasses.replace(fold.train, likes=sp.csr_array(likes))  # 80 of 320 are liked: 160² entries
    assert fitted(data, most_exact=161)._exact
    assert not fitted(data, most_exact=159, landmarks=20)._exact


def test_nystrom_is_ranked_by_an_index_and_the_exact_solve_is_not(fold: Fold) -> None:
    model = fitted(fold.train, solver="nystrom", landmarks=40)
    assert recommend_everyone(model, k=3, search="approximate").approximate
    with pytest.raises(ArgumentError, match="no dot product"):
        recommend_everyone(fitted(fold.train), k=3, search="approximate")


@pytest.mark.parametrize("name", ["kernel", "tfidf", "tfidf-knn"])
def test_texts_without_a_common_word_are_refused(name: str) -> None:
    documents = Documents.from_texts(["one two", "three four", "five"])
    items = Items.build(["a", "b", "c"], documents=documents)
    likes = binary_csr(np.array([0, 0, 1]), np.array([0, 1, 2]), (2, 3))
    with pytest.raises(DataError, match="no word is in 2 of the 3 training texts"):
        create(name).fit(Dataset(Ids(["u", "v"]), items, likes))
