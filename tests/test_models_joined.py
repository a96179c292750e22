"""The joined model: it trains, its folder stands alone, and word weights hold for all readings."""

from __future__ import annotations

import numpy as np
import pytest

import tiny_transformer
from textrec.data.sample import sample
from textrec.dataset import Dataset
from textrec.explanation import explain
from textrec.model_folder import load, save
from textrec.protocol.splits import hold_out
from textrec.registry import create

SMALL = {"factors": 10, "epochs": 3, "hidden_dim": 8, "embedding_dim": 8, "min_count": 1}
TEXT = "Graph networks for protein folding. We study proteins, not markets."


@pytest.fixture(scope="module")
def data() -> Dataset:
    return sample().filtered(min_likes=5, min_tag_items=10)


def new(**config: object):
    return create("joined-mtl", SMALL | {"sentence_model": tiny_transformer.folder()} | config, seed=1)


def test_it_trains_and_its_folder_stands_alone(data: Dataset, tmp_path, monkeypatch) -> None:
    events: list[dict] = []
    model = new(sentence_hidden=5)
    model.fit(data, validation=hold_out(data, "cold", seed=0, fold=0), monitor=events.append)
    losses = [event["loss"] for event in events if event["event"] == "epoch"]
    assert losses[-1] < losses[0]
    save(model, tmp_path / "model")
    monkeypatch.setattr("textrec.learn.sentence_vectors.load_pretrained", None)
    loaded = load(tmp_path / "model")
    np.testing.assert_allclose(loaded.encode([TEXT]), model.encode([TEXT]), atol=1e-6)
    found = explain(model, TEXT, user=data.users[0])
    assert len(found.words) == 13
    assert all(word.saliency is None for word in found.words)
    assert found.by == "contribution"


def test_its_settings_count(data: Dataset) -> None:
    base = new().fit(data).score(None)
    for change in ({"sentence_hidden": 4}, {"dropout_sentence": 0.5}, {"shortcut": True}):
        assert not np.array_equal(new(**change).fit(data).score(None), base), change
