"""The tag head, and its own training after that of the encoder."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from textrec.data.sample import sample
from textrec.learn.recommender import Recommender
from textrec.learn.tags import SHARPNESS, TagHead, fit_tags, neighbour_shares
from textrec.protocol.metrics import tag_recall
from textrec.protocol.splits import split
from textrec.registry import create


def test_a_head_learns_tags_from_vectors_that_stay() -> None:
    rng = np.random.default_rng(0)
    vectors = torch.from_numpy(rng.standard_normal((300, 8)).astype(np.float32))
    tags = sp.csr_array((vectors.numpy() @ rng.standard_normal((8, 40)) > 3).astype(np.float32))
    before = vectors.clone()
    torch.manual_seed(0)
    head = TagHead(tags, 8)
    rows = np.flatnonzero(np.diff(tags.indptr))

    def recall() -> float:
        with torch.inference_mode():
            return float(tag_recall(head(vectors[rows]).numpy(), tags[rows], 5).mean())

    untrained = recall()
    fit_tags(head, vectors, tags, epochs=30, seed=0)
    assert recall() > max(0.7, untrained + 0.2)
    assert torch.equal(vectors, before)
    again = TagHead(tags, 8)
    again.load_state_dict(head.state_dict())
    fit_tags(again, vectors, tags, epochs=0, seed=0)
    assert torch.equal(again.vectors, head.vectors)


def test_more_passes_over_tags_leave_recommendations_as_they_are() -> None:
    fold = split(sample(), "cold", seed=0).fold(sample(), 0)
    config = {"epochs": 15, "factors": 16, "min_count": 1}
    without, with_tags = (create("embed-mtl", config | {"tag_epochs": n}).fit(fold.train) for n in (0, 10))
    np.testing.assert_array_equal(without.score(None, fold.candidates), with_tags.score(None, fold.candidates))
    tags = fold.train.items.tags.toarray() > 0
    known = tags.any(1)

    def surprise(model: Recommender) -> float:
        chance = model.tag_scores(fold.train.items)[known]
        return float(-np.log(np.where(tags[known], chance, 1 - chance)).sum(1).mean())

    assert surprise(with_tags) < surprise(without)


@pytest.mark.parametrize("block_cells", [1 << 24, 40])
def test_shares_are_those_of_a_slow_count(block_cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textrec.learn.neighbours.BLOCK_CELLS", block_cells)
    rng = np.random.default_rng(0)
    known, texts = (rng.standard_normal((n, 3)).astype(np.float32) for n in (30, 7))
    dense = (rng.random((30, 5)) < 0.3).astype(np.float32)
    dense[4] = 0  # has no say
    tags = sp.csr_array(dense)
    expected = np.zeros((7, 5))
    for row, text in enumerate(texts):
        cosine = known @ text / np.linalg.norm(known, axis=1) / np.linalg.norm(text)
        voters = [item for item in np.argsort(-cosine) if tags[[item]].nnz][:6]
        weights = np.maximum(cosine[voters], 0) ** SHARPNESS
        expected[row] = weights @ tags[voters].toarray() / weights.sum()
    np.testing.assert_allclose(neighbour_shares(texts, known, tags, 6), expected, rtol=1e-4, atol=1e-6)


def test_a_text_without_words_and_a_catalogue_without_tags_have_no_shares() -> None:
    tags = sp.csr_array(np.eye(3, dtype=np.float32))
    known = np.eye(3, dtype=np.float32)
    assert not neighbour_shares(np.zeros((1, 3), np.float32), known, tags, 2).any()
    assert not neighbour_shares(known, known, sp.csr_array((3, 3), dtype=np.float32), 2).any()
    assert neighbour_shares(known, known, tags, 99).diagonal().tolist() == [1, 1, 1]


def test_neighbours_find_the_tags_of_new_texts_where_the_head_does_not() -> None:
    fold = split(sample().filtered(), "cold", seed=0).fold(sample().filtered(), 0)
    found = {}
    for neighbours in (0, 50):
        model = create("embed-mtl", {"tag_neighbours": neighbours, "epochs": 5}, seed=0)
        model.fit(fold.train)
        scores = model.tag_scores(fold.candidates)
        assert scores.min() >= 0
        assert scores.max() <= 1
        found[neighbours] = float(tag_recall(scores, fold.test_tags, 5).mean())
    assert found[50] >= found[0]
