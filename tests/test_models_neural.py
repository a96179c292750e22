"""How the text encoders are trained: every option does something, and a checkpoint keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textrec.data.sample import sample
from textrec.errors import ArgumentError, ConfigError
from textrec.learn.exact import ExactTrainee
from textrec.learn.group import Group
from textrec.learn.model import Checkpoint
from textrec.protocol.splits import Fold, hold_out, split
from textrec.registry import create
from textrec.study.evaluation import evaluate

SMALL: dict[str, Any] = {"factors": 16, "min_count": 1, "epochs": 4, "learning_rate": 0.01}
OPTIONS: list[dict[str, Any]] = [
    {"unobserved_power": 0.7},
    {"loss": "softmax"},
    {"loss": "bpr"},
    {"loss": "warp"},
    {"schedule": "linear"},
    {"schedule": "constant"},
    {"warmup_steps": 20},
    {"averaging": "exponential"},
    {"averaging": "epochs"},
]
FURTHER = [
    ({"loss": "softmax"}, {"ranking_share": 0.9}),
    ({"loss": "softmax"}, {"ranking_scale": 3.0}),
    ({"averaging": "exponential"}, {"averaging_decay": 0.5}),
    ({"averaging": "epochs"}, {"averaging_epochs": 2}),
]


def held_out() -> Fold:
    fold = split(sample(), "cold", seed=0).fold(sample(), 0)
    return hold_out(fold.train, "cold", seed=0, fold=0)


def test_every_option_changes_something() -> None:
    data = sample()

    def encoded(**config: Any) -> Any:
        return create("embed-mtl", SMALL | config, seed=3).fit(data).encode(["graph networks for proteins"])

    plain = encoded()
    for change in OPTIONS:
        assert not np.allclose(encoded(**change), plain, atol=1e-6), change
    for first, second in FURTHER:
        assert not np.allclose(encoded(**first, **second), encoded(**first), atol=1e-6), second


@pytest.mark.parametrize("option", [option for option in OPTIONS if "schedule" not in option])
def test_each_learns(option: dict[str, Any]) -> None:
    data = sample().filtered()
    config = SMALL | {"epochs": 20} | option
    found = evaluate(data, "embed", folds=[0], config=config).result["folds"][0]
    assert found["recall@10"] > 0.25  # 0.19 with words at random, 0.267 with the defaults


@pytest.mark.parametrize("offsets", ["last", "alternate"])
def test_a_new_user_with_a_trained_users_likes_is_that_user_under_popularity_weights(offsets: str) -> None:
    data = sample()
    model: Any = create("embed", SMALL | {"unobserved_power": 0.8, "offsets": offsets}).fit(data)
    user = data.users[3]
    liked = [data.items.ids[row] for row in data.likes[[3]].indices]
    known = model.recommend(user, k=8)
    new = model.recommend(liked=liked, k=8)
    assert new["item_id"].to_list() == known["item_id"].to_list()
    np.testing.assert_allclose(new["score"], known["score"], atol=1e-4)
    shares = model._like_shares(model._known_reps(data.likes[[3]].indices), model._known_reps(np.arange(5)))
    np.testing.assert_allclose(shares.sum(0), model.score([user])[0, :5], atol=1e-4)


@pytest.mark.parametrize("averaging", ["exponential", "epochs"])
def test_the_average_is_validated_and_kept(averaging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    validation = held_out()
    seen: list[Any] = []
    validate = ExactTrainee.validate

    def watched(self: ExactTrainee) -> float | None:
        found = validate(self)
        own = self.encoder.words.weight.detach().clone()
        kept = self.snapshot()["encoder.words.weight"]
        seen.append((found, own, kept))
        return found

    monkeypatch.setattr(ExactTrainee, "validate", watched)
    config = SMALL | {"averaging": averaging, "refit_epochs": 0, "patience": 9}
    model: Any = create("embed", config).fit(validation.train, validation=validation)
    best = max(range(len(seen)), key=lambda epoch: seen[epoch][0])
    assert model.report.validation == seen[best][0]
    torch.testing.assert_close(model._encoder.words.weight.detach(), seen[best][2])
    assert not torch.equal(seen[-1][1], seen[-1][2])


@pytest.mark.parametrize("option", [{"averaging": "exponential", "warmup_steps": 30}, {"averaging": "epochs"}])
def test_a_killed_training_resumes_with_the_same_numbers(option: dict[str, Any], tmp_path: Path) -> None:
    data = sample()
    config = SMALL | option

    def fit(checkpoint: Checkpoint | None, dies_at: int = 0) -> Any:
        steps = 0

        def monitor(event: Any) -> None:
            nonlocal steps
            steps += event["event"] == "step"
            if steps == dies_at:
                raise SystemExit

        return create("embed-mtl", config, seed=1).fit(data, monitor=monitor, checkpoint=checkpoint)

    whole = fit(None).score(None)
    for dies_at in (20, 25):
        with pytest.raises(SystemExit):
            fit(Checkpoint(tmp_path, every_seconds=0, resume=True), dies_at)
    resumed = fit(Checkpoint(tmp_path, every_seconds=0, resume=True))
    np.testing.assert_array_equal(resumed.score(None), whole)


def test_a_group_and_a_ranking_loss_are_refused() -> None:
    model: Any = create("embed", SMALL | {"loss": "warp"})
    model.group = Group()
    model.group.size = 2
    with pytest.raises(ArgumentError, match="loss 'warp' compares the texts of a batch, which a group divides; use sq"):
        model.fit(sample())


def test_values_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"loss must be one of 'squared', 'softmax', 'bpr', 'warp', got 'hinge'"):
        create("embed", {"loss": "hinge"})
    with pytest.raises(ConfigError, match=r"ranking_share must be from 0 to 1, got 1\.5"):
        create("embed", {"ranking_share": 1.5})
    with pytest.raises(ConfigError, match="averaging_epochs must be at least 1, got 0"):
        create("embed", {"averaging_epochs": 0})
