from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textrec.config import Config
from textrec.data.sample import sample
from textrec.dataset import Dataset
from textrec.errors import ArgumentError, DataError, MissingExtraError, TrainingError
from textrec.protocol.metrics import fold_recall
from textrec.registry import create
from textrec.study.search import Search, Trial

pytest.importorskip("optuna")

FIXED: dict[str, Any] = {"epochs": 2, "min_count": 1, "factors": 8, "batch_size": 256}


@cache
def library() -> Dataset:
    return sample().filtered(min_likes=5, min_tag_items=10)


def values_of(search: Search) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.values, trial.value) for trial in search.trials]


def test_the_first_trial_is_the_configuration_as_given() -> None:
    search = Search(library(), "embed", fixed=FIXED)
    assert search.best is None
    with pytest.raises(ArgumentError, match="no trial is done yet; run the search"):
        search.best_config()
    search.run(1)
    assert search.best_config() == create("embed", FIXED).config
    model = create("embed", FIXED).fit(library(), validation=search.fold)
    assert search.best is not None
    assert search.best.value == model.report.validation
    assert search.best.epochs == 2
    assert search.metric == "recall@10"


def test_it_finds_better_ones_and_keeps_what_is_fixed() -> None:
    search = Search(library(), "embed-mtl", fixed=FIXED)
    told: list[Trial] = []
    search.run(6, on_trial=told.append)
    assert [trial.number for trial in told] == list(range(6))
    best, config = search.best, search.best_config()
    assert best is not None
    assert best.value == max(trial.value or 0.0 for trial in search.trials if trial.state == "done")
    assert {name: getattr(config, name) for name in FIXED} == FIXED
    assert {name: getattr(config, name) for name in best.values} == best.values
    assert not {"ridge_items", "factors", "epochs"} & best.values.keys()
    assert len({str(trial.values) for trial in search.trials}) == 6


def test_stopping_and_going_on_is_the_same_as_going_on(tmp_path: Path) -> None:
    whole = Search(library(), "tfidf", seed=4)
    whole.run(5)
    for trials in (2, 5, 5):
        part = Search(library(), "tfidf", seed=4, storage=str(tmp_path / "search.db"))
        part.run(trials)
    assert values_of(part) == values_of(whole)
    other = Search(library(), "tfidf", seed=5, storage=str(tmp_path / "search.db"))
    assert other.trials == []
    with pytest.raises(ArgumentError, match="trials must be at least 1, got 0"):
        other.run(0)


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    search = Search(library(), "embed", fixed=FIXED, storage=str(tmp_path / "search.db"))

    @contextmanager
    def watch(done: int) -> Iterator[Any]:
        def monitor(event: Mapping[str, Any]) -> None:
            if done == stop and event["event"] == "step":
                raise KeyboardInterrupt

        yield monitor

    for stop in (0, 1):  # in the first trial, which comes again, and in the second
        with pytest.raises(KeyboardInterrupt):
            search.run(3, watch=watch)
        assert len(search.trials) == stop
        search = Search(library(), "embed", fixed=FIXED, storage=str(tmp_path / "search.db"))
        if stop == 0:
            search.run(1)
    defaults = create("embed", FIXED).config.to_dict()
    assert [trial.values for trial in search.trials] == [{name: defaults[name] for name in search.trials[0].values}]
    again = Search(library(), "embed", fixed=FIXED, storage=str(tmp_path / "search.db"))
    assert values_of(again) == values_of(search)
    again.run(2)
    assert len(again.trials) == 2


def test_a_worse_trial_is_stopped_early(monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    search = Search(library(), "embed", fixed=FIXED | {"epochs": 4})
    search.run(1)
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda self: True)
    search.run(2)
    stopped = search.trials[1]
    assert stopped.state == "stopped"
    assert stopped.epochs == 1
    assert search.best is not None
    assert search.best.number == 0


def test_a_loss_that_is_no_number_is_a_failed_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(library(), "embed", fixed=FIXED)
    search.run(1)

    def broken(self: Search, trial: Any, values: Mapping[str, Any], monitor: Any) -> float:
        raise TrainingError("the loss is nan")

    monkeypatch.setattr(Search, "_value", broken)
    search.run(3)
    assert [trial.state for trial in search.trials] == ["done", "failed", "failed"]
    assert search.trials[1].value is None


def test_a_kernel_is_judged_by_its_own_recall_and_stopped_by_ctrl_c() -> None:
    settings = {"kernel": "vectors", "encoder": "embed epochs=2 factors=8 min_count=1"}
    search = Search(library(), "kernel", fixed=settings)
    search.run(1)
    model = create("kernel", settings).fit(search.fold.train)
    score, _ = model.scorer(search.fold.candidates)
    assert search.best is not None
    assert search.best.value == pytest.approx(fold_recall(search.fold, score, 10))
    assert not search.best.epochs  # those of the encoder within are none of the kernel's

    @contextmanager
    def watch(done: int) -> Iterator[Any]:
        def monitor(event: Mapping[str, Any]) -> None:
            if event["event"] == "step":
                raise KeyboardInterrupt

        yield monitor

    with pytest.raises(KeyboardInterrupt):
        search.run(2, watch=watch)
    assert len(search.trials) == 1


def test_settings_that_the_data_are_too_large_for_have_failed() -> None:
    search = Search(library(), "kernel", fixed={"most_exact": 10, "landmarks": 20})
    search.run(8)  # imputed likes need the exact solver
    assert {trial.state for trial in search.trials} == {"done", "failed"}
    assert {trial.values["imputed"] for trial in search.trials if trial.state == "done"} == {0.0}
    with pytest.raises(DataError, match="imputed needs the exact solver"):
        Search(library(), "kernel", fixed={"most_exact": 10, "imputed": 1.0}).run(2)


def test_other_errors_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(library(), "embed", fixed=FIXED)

    def broken(self: Search, trial: Any, values: Mapping[str, Any], monitor: Any) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(Search, "_value", broken)
    with pytest.raises(ZeroDivisionError):
        search.run(3)
    assert search.trials == []


def test_the_warm_setting_judges_by_held_out_likes() -> None:
    search = Search(library(), "embed", fixed=FIXED, setting="warm")
    search.run(2)
    assert search.fold.setting == "warm"
    assert "ridge_items" in search.space
    assert all("ridge_items" in trial.values for trial in search.trials)


def test_the_best_as_toml_is_a_configuration(tmp_path: Path) -> None:
    search = Search(library(), "embed", fixed=FIXED)
    search.run(3)
    path = tmp_path / "best.toml"
    path.write_text(search.best_toml(), encoding="utf-8")
    kind: type[Config] = type(create("embed").config)
    assert kind.from_toml(path) == search.best_config()
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Model embed: the best of 3 trials of textrec search, number ")
    assert "cold validation candidates of sample, seed 0" in text
    assert tomllib.loads(text)["epochs"] == 2


def test_trials_must_be_comparable(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    fewer = library().take_users(np.arange(100))
    Search(library(), "embed", fixed=FIXED, storage=storage).run(1)
    with pytest.raises(ArgumentError, match="was made with other options; use another storage, seed, or the same data"):
        Search(library(), "embed", fixed=FIXED | {"epochs": 3}, storage=storage)
    with pytest.raises(ArgumentError, match="was made with other data, options"):
        Search(fewer, "embed", fixed=FIXED | {"epochs": 3}, storage=storage)


def test_what_cannot_be_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="model 'popularity' has no field left to search"):
        Search(library(), "popularity", setting="warm")
    for storage in ("nosuchdb://x", "sqlite:////nowhere/at/all/search.db", "mysql+nodriver://u@h/d"):
        with pytest.raises(ArgumentError, match=r"storage .* cannot be opened .*use a URL such as sqlite:///search.db"):
            Search(library(), "tfidf", storage=storage)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"this needs the package 'optuna': pip install 'textrec\[search\]'"):
        Search(library(), "tfidf")
