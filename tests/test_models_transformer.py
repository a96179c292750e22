"""Transformers as recommenders: they learn, resume, explain words, and need nothing but their folder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tiny_transformer
from textrec.data.sample import sample
from textrec.errors import ConfigError
from textrec.explanation import explain
from textrec.learn.model import Checkpoint
from textrec.model_folder import load, save
from textrec.models.transformer import TransformerConfig
from textrec.protocol.splits import Fold, hold_out, split
from textrec.registry import create
from textrec.text import Documents

SMALL = {"factors": 12, "epochs": 3, "warmup_steps": 5, "fine_tuning_rate": 0.003, "learning_rate": 0.01}
TEXT = "Graph networks for protein folding. We study proteins, not markets."


@pytest.fixture(scope="module")
def fold() -> Fold:
    data = sample().filtered(min_likes=5, min_tag_items=10)
    return split(data, "cold", seed=0).fold(data, 0)


def new(name: str = "transformer", **config: object):
    return create(name, SMALL | {"sentence_model": tiny_transformer.folder()} | config, seed=1)


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_training_lowers_the_loss_and_the_best_epoch_is_kept(fold: Fold, layers: int) -> None:
    events: list[dict] = []
    validation = hold_out(fold.train, "cold", seed=0, fold=0)
    model = new("transformer-mtl", trained_layers=layers).fit(fold.train, validation=validation, monitor=events.append)
    epochs = [event for event in events if event["event"] == "epoch" and "refit" not in event]
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    assert model.report.validation == max(event["recall@10"] for event in epochs)


def test_layers_that_stay_are_those_of_the_file(fold: Fold) -> None:
    before = tiny_transformer.pretrained().backbone.state_dict()
    after = new(trained_layers=1).fit(fold.train)._encoder.backbone.state_dict()
    name = "encoder.layer.{}.output.dense.weight"
    assert np.array_equal(before[name.format(0)], after[name.format(0)])
    assert not np.array_equal(before[name.format(1)], after[name.format(1)])


def test_every_rate_counts(fold: Fold) -> None:
    base = new(trained_layers=1).fit(fold.train).score(None)
    for change in ({"fine_tuning_rate": 0.0001}, {"warmup_steps": 0}, {"learning_rate": 0.02}, {"dropout": 0.4}):
        assert not np.array_equal(new(trained_layers=1, **change).fit(fold.train).score(None), base), change


@pytest.mark.parametrize("layers", [0, 1])
def test_many_texts_in_low_precision(fold: Fold, layers: int, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TEXTREC_CACHE", str(tmp_path))
    monkeypatch.setattr("textrec.models.transformer.BULK", 10)
    monkeypatch.setattr("textrec.learn.sentence_vectors.BULK", 10)
    low, full = (new(trained_layers=layers, precision=name).fit(fold.train) for name in ("bf16", "fp32"))
    scores = [model.score(None, fold.candidates).ravel() for model in (low, full)]
    assert np.corrcoef(*scores)[0, 1] > 0.95


class Killed(Exception):
    """What ends a training from outside."""


def test_a_killed_training_resumes_with_the_same_numbers(fold: Fold, tmp_path) -> None:
    whole = new("transformer-mtl", trained_layers=1).fit(fold.train)

    def kill(event: dict) -> None:
        if event["event"] == "step" and event["epoch"] == 2 and event["done"] > 100:
            raise Killed

    where = Checkpoint(tmp_path, every_seconds=0)
    with pytest.raises(Killed):
        new("transformer-mtl", trained_layers=1).fit(fold.train, monitor=kill, checkpoint=where)
    resumed = new("transformer-mtl", trained_layers=1)
    resumed.fit(fold.train, checkpoint=dataclasses.replace(where, resume=True))
    np.testing.assert_array_equal(resumed.score(None), whole.score(None))


def test_a_folder_needs_nothing_else(fold: Fold, tmp_path, monkeypatch) -> None:
    model = new(trained_layers=1).fit(fold.train)
    save(model, tmp_path / "model")
    monkeypatch.setattr("textrec.models.transformer.load_pretrained", None)
    loaded = load(tmp_path / "model")
    np.testing.assert_allclose(loaded.encode([TEXT]), model.encode([TEXT]), atol=1e-6)
    update = {"user_id": ["new"] * 2, "item_id": list(model.data.items.ids)[:2]}
    np.testing.assert_allclose(loaded.update(update).score(None), model.update(update).score(None), atol=1e-4)


def test_words_carry_weights_and_special_pieces_none(fold: Fold) -> None:
    model = new(trained_layers=1).fit(fold.train)
    found = explain(model, "Graph zyxwv networks", user=fold.train.users[0])
    assert [word.word for word in found.words] == ["graph", "zyxwv", "networks"]
    assert all(word.saliency is not None and word.saliency > 0 for word in found.words)
    assert found.by == "saliency"
    # a step along the gradient of a word's pieces changes the score as the saliency says
    assert len(model._split(Documents.from_texts(["zyxwv"])).documents.ids) == 7


def test_settings_of_word_vectors_are_refused() -> None:
    with pytest.raises(ConfigError, match="word_vectors must be left out: the network has its own, got 'v'"):
        TransformerConfig(word_vectors="v")
    with pytest.raises(ConfigError, match="recipe must be exact"):
        TransformerConfig(recipe="paper")
    with pytest.raises(ConfigError, match=r"word_dropout must be from 0 to 0, got 0\.5"):
        TransformerConfig(word_dropout=0.5)


def test_every_rate_is_halved_when_all_items_are_trained_on(fold: Fold, monkeypatch: pytest.MonkeyPatch) -> None:
    from textrec.learn.fine_tuning import FineTuningTrainee

    rates, begin = [], FineTuningTrainee.begin_epoch

    def watched(self: FineTuningTrainee, epoch: int, epochs: int) -> None:
        rates.append(list(self.rates.highest))
        begin(self, epoch, epochs)

    monkeypatch.setattr(FineTuningTrainee, "begin_epoch", watched)
    validation = hold_out(fold.train, "cold", seed=0, fold=0)
    new("transformer-mtl", trained_layers=1).fit(fold.train, validation=validation)
    assert rates[-1] == pytest.approx([rate / 2 for rate in rates[0]])
    assert len(rates[0]) == 3  # projection, tags, network
