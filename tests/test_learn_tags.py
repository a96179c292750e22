"""The tag head, and its own training after that of the encoder."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from textrec.data.sample import sample
from textrec.learn.recommender import Recommender
from textrec.learn.tags import TagHead, fit_tags
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
    config = {"epochs": 3, "factors": 16, "min_count": 1}
    without, with_tags = (create("embed-mtl", config | {"tag_epochs": n}).fit(fold.train) for n in (0, 10))
    np.testing.assert_array_equal(without.score(None, fold.candidates), with_tags.score(None, fold.candidates))
    tags = fold.train.items.tags.toarray() > 0
    known = tags.any(1)

    def surprise(model: Recommender) -> float:
        chance = model.tag_scores(fold.train.items)[known]
        return float(-np.log(np.where(tags[known], chance, 1 - chance)).sum(1).mean())

    assert surprise(with_tags) < 0.8 * surprise(without)
