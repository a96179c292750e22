"""Search for a good configuration (optuna), on validation items that no test fold holds.

A study lives in a database and can be stopped, killed and continued: the trials that are finished count.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from textrec.config import Config
from textrec.dataset import Dataset
from textrec.errors import ArgumentError, DataError, MissingExtraError, TrainingError
from textrec.learn.model import Monitor
from textrec.protocol.metrics import fold_recall
from textrec.protocol.splits import hold_out
from textrec.registry import create, model_class
from textrec.study.search_space import Domain, assembled, flat, space_of

__all__ = ["Search", "Trial"]

_FAILED, _PRUNED, _DONE = "failed", "stopped", "done"


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried."""

    number: int  # from 0
    state: str  # done, stopped (worse than the others at the same epoch), failed (a loss that is no number)
    value: float | None  # recall on validation
    epochs: int
    seconds: float
    values: dict[str, Any]  # searched field → value


class Search:
    """A study of one model on one data set.

    Args:
        train: what may be read; the validation part is held out of it. To report figures of test folds afterwards,
            pass the training part of a fold.
        model: a name of `registry.MODELS`.
        fixed: fields that keep a given value.
        setting: `cold` holds items out, `warm` likes.
        storage: an SQLAlchemy URL such as `sqlite:///search.db`, or a file name (SQLite); None keeps it in memory.
        seed: of validation, training and sampling.
        device: as `registry.create`.

    Raises:
        MissingExtraError: optuna is not installed.
        ArgumentError: nothing can be searched, the storage cannot be opened, or its study is of other data or fields.
        CapabilityError: the model cannot rank new items and the setting is cold.
    """

    def __init__(
        self,
        train: Dataset,
        model: str,
        *,
        fixed: Mapping[str, Any] | None = None,
        setting: Literal["cold", "warm"] = "cold",
        storage: str | None = None,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.model, self.setting, self.seed, self.device = model, setting, seed, device
        self.fixed = dict(fixed or {})
        self.kind: type[Config] = model_class(model).config_type
        self.base = self.kind.from_mapping(self.fixed)
        self.space: dict[str, Domain] = space_of(self.kind, self.fixed, setting)
        if not self.space:
            raise ArgumentError(f"model {model!r} has no field left to search; fix fewer of them, or choose another")
        self.fold = hold_out(train, setting, seed=seed, fold=0)
        self.k = 50 if len(self.fold.candidates) >= 250 else 10
        self.train = train
        self.name = f"{train.name or 'data'} {model} {setting} seed {seed}"
        self._optuna = _optuna()
        self._study = self._open(storage)
        if not self.trials and not self._study.get_trials(False, (self._optuna.trial.TrialState.WAITING,)):
            self._study.enqueue_trial(self._start())

    # ------------------------------------------------------------------ what was found

    @property
    def metric(self) -> str:
        """What is searched for."""
        return f"recall@{self.k}"

    @property
    def trials(self) -> list[Trial]:
        """The finished trials, the oldest first."""
        states = self._optuna.trial.TrialState
        names = {states.COMPLETE: _DONE, states.PRUNED: _PRUNED, states.FAIL: _FAILED}
        found = []
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state in names and "values" in trial.user_attrs:
                about = trial.user_attrs
                epochs, seconds = about.get("epochs", 0), about.get("seconds", 0.0)
                found.append(
                    Trial(trial.number, names[trial.state], trial.value, epochs, seconds, dict(about["values"]))
                )
        return found

    @property
    def best(self) -> Trial | None:
        """The trial with the highest value, the older one of equals; None before any is done."""
        done = [trial for trial in self.trials if trial.state == _DONE]
        return max(done, key=lambda trial: trial.value or 0.0, default=None)

    def best_config(self) -> Config:
        """The configuration of the best trial.

        Raises:
            ArgumentError: no trial is done.
        """
        if self.best is None:
            raise ArgumentError("no trial is done yet; run the search")
        return self._config(self.best.values)

    def best_toml(self) -> str:
        """The best configuration as TOML that `--config` reads, with where it comes from in comments."""
        best, done = self.best, self.trials
        config = self.best_config().to_toml()
        assert best is not None
        about = [
            f"Model {self.model}: the best of {len(done)} trials of textrec search, number {best.number}.",
            f"{self.metric} {best.value:.4f} on {len(self.fold.candidates):,} {self.setting} validation candidates of "
            f"{self.train.name or 'data'}, seed {self.seed}.",
            f"Searched: {', '.join(dict.fromkeys(name.partition('.')[0] for name in self.space))}.",
        ]
        return "".join(f"# {line}\n" for line in about) + "\n" + config

    # ------------------------------------------------------------------ running

    def run(
        self,
        trials: int,
        *,
        watch: Callable[[int], Any] | None = None,
        on_trial: Callable[[Trial], None] | None = None,
    ) -> None:
        """Go on until the study has this many finished trials; the first one is the configuration as given.

        Args:
            trials: in all, those of earlier runs included.
            watch: gives a context manager around a trial, whose value is a monitor of its training, or None.
            on_trial: told of each trial that has ended.

        Raises:
            KeyboardInterrupt: after Ctrl-C; what is finished stays in the study.
        """
        if trials < 1:
            raise ArgumentError(f"trials must be at least 1, got {trials}")
        while (done := len(self.trials)) < trials:
            # A sampler of its own for each trial: a search that was stopped goes on as if it had not been.
            number = len(self._study.get_trials(deepcopy=False))
            self._study.sampler = self._optuna.samplers.TPESampler(seed=self.seed + 7919 * number, n_startup_trials=8)
            trial = self._study.ask()
            with _watched(watch, done) as monitor:
                self._one(trial, monitor)
            if on_trial is not None and (ended := [past for past in self.trials if past.number == trial.number]):
                on_trial(ended[0])

    def _one(self, trial: Any, monitor: Monitor | None) -> None:
        values = assembled({name: domain.suggest(trial, name) for name, domain in self.space.items()})
        state, value, started = self._optuna.trial.TrialState.FAIL, None, time.perf_counter()
        finished = False
        try:
            value = self._value(trial, values, monitor)
            state, finished = self._optuna.trial.TrialState.COMPLETE, True
        except self._optuna.TrialPruned:
            state, finished = self._optuna.trial.TrialState.PRUNED, True
        except TrainingError:
            finished = True  # such a configuration is a finding: it failed
        except DataError:
            if trial.number == 0:  # the configuration as given: the data are at fault
                raise
            finished = True
        finally:
            if finished:  # Ctrl-C leaves a trial that does not count
                trial.set_user_attr("values", values)
            trial.set_user_attr("seconds", time.perf_counter() - started)
            self._study.tell(trial, value, state=state)

    def _value(self, trial: Any, values: Mapping[str, Any], monitor: Monitor | None) -> float:
        """Recall on the validation part, epoch by epoch where the model has epochs."""
        recommender = create(self.model, self._config(values), seed=self.seed, device=self.device)

        def watching(event: Mapping[str, Any]) -> None:
            if monitor is not None:
                monitor(event)
            own = recommender.stops_early  # otherwise the epochs are those of a model within
            if own and event.get("event") == "epoch" and self.metric in event:
                trial.set_user_attr("epochs", event["epoch"])
                trial.report(event[self.metric], event["epoch"])
                if trial.should_prune():
                    raise self._optuna.TrialPruned

        if recommender.stops_early:
            recommender.fit(self.train, validation=self.fold, monitor=watching)
        else:
            recommender.fit(self.fold.train, monitor=watching)
        if recommender.report.interrupted:
            raise KeyboardInterrupt
        if recommender.stops_early:
            return float(recommender.report.validation or 0.0)
        score, _ = recommender.scorer(self.fold.candidates)
        return float(fold_recall(self.fold, score, self.k))

    def _config(self, values: Mapping[str, Any]) -> Config:
        return dataclasses.replace(self.base, **values)

    def _open(self, storage: str | None) -> Any:
        optuna = self._optuna
        from sqlalchemy.exc import SQLAlchemyError  # comes with optuna

        refused = (ImportError, ValueError, SQLAlchemyError)
        url = storage if storage is None or "://" in storage else f"sqlite:///{storage}"
        try:
            study = optuna.create_study(
                storage=url,
                study_name=self.name,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
            )
        except refused as error:
            said = str(error).strip().splitlines()[0]
            hint = "use a URL such as sqlite:///search.db or a file name"
            raise ArgumentError(f"storage {storage!r} cannot be opened ({said}); {hint}") from error
        about = json.loads(json.dumps(self._facts()))
        before = study.user_attrs.get("facts")
        if before is None:
            study.set_user_attr("facts", about)
        elif before != about:
            differing = ", ".join(name for name in about if about[name] != before.get(name))
            raise ArgumentError(
                f"the study {self.name!r} in {storage} was made with other {differing}; use another storage, seed, or "
                "the same data and options"
            )
        return study

    def _facts(self) -> dict[str, Any]:
        """What must be equal for trials to be comparable."""
        data = self.train
        sizes = [data.n_users, data.n_items, data.n_likes, len(self.fold.candidates)]
        space = {name: dataclasses.asdict(domain) for name, domain in self.space.items()}
        return {"data": sizes, "options": self.base.to_dict(), "fields to search": space}

    def _start(self) -> dict[str, Any]:
        """The configuration as given, where the space holds it."""
        values = flat(self.base.to_dict(), self.space)
        return {name: value for name, value in values.items() if value in self.space[name]}


@contextmanager
def _watched(watch: Callable[[int], Any] | None, done: int) -> Iterator[Monitor | None]:
    if watch is None:
        yield None
        return
    with watch(done) as monitor:
        yield monitor


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "search") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
