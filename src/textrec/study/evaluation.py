"""One model on one split: fit every fold, rank its candidates, average."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from textrec import __version__
from textrec.dataset import Dataset
from textrec.errors import ArgumentError
from textrec.learn.memory import give_back_free_memory
from textrec.learn.model import Monitor
from textrec.learn.recommender import Recommender
from textrec.protocol.metrics import LIST_LENGTH, FoldRanking, UserMetrics, aggregate, rank_fold, summary, tag_recall
from textrec.protocol.splits import Fold, Split, hold_out, split
from textrec.registry import create, model_class

__all__ = ["Evaluation", "evaluate", "evaluate_fold", "machine", "user_frame", "versions"]

Setting = Literal["cold", "warm", "time"]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    result: dict[str, Any]  # what `--json` writes: docs/json.md
    users: list[UserMetrics] = field(repr=False)  # metrics of each user, a fold each

    def per_user(self) -> pl.DataFrame:
        """A frame `fold, user, test_likes, recall@10, recall@50, ndcg@50, hr@10`, for paired tests; user = row."""
        folds = [row["fold"] for row in self.result["folds"]]
        return pl.concat([user_frame(fold, metrics) for fold, metrics in zip(folds, self.users, strict=True)])


def user_frame(fold: int, metrics: UserMetrics) -> pl.DataFrame:
    """A row a user with test likes: `fold, user, test_likes, recall@10, recall@50, ndcg@50, hr@10`; user = row."""
    columns = {
        "fold": np.full(len(metrics), fold),
        "user": metrics.users,
        "test_likes": metrics.likes(),
        "recall@10": metrics.recall(10),
        "recall@50": metrics.recall(50),
        "ndcg@50": metrics.ndcg(50),
        "hr@10": metrics.hr(10),
    }
    return pl.DataFrame(columns)


def evaluate(
    data: Dataset,
    model: str = "tfidf",
    *,
    setting: Setting = "cold",
    folds: Sequence[int] | None = None,
    split_by: Split | None = None,
    n_folds: int = 5,
    candidates: Literal["eligible", "all"] = "eligible",
    cutoff: str | None = None,
    seed: int = 0,
    config: Any = None,
    device: str = "auto",
    transductive: bool = False,
    monitor: Monitor | None = None,
    on_fold: Callable[[Mapping[str, Any]], None] | None = None,
) -> Evaluation:
    """Fit and test a model, fold by fold.

    Args:
        data: filtered data (`Dataset.filtered`).
        model: a name of `registry.MODELS`.
        setting: `cold`, `warm` or `time`; a given split decides.
        folds: which folds to run; None for all.
        split_by: a split, such as one read from a file; None makes one of `setting`, `n_folds`, `candidates`, `seed`.
        n_folds: folds to deal.
        candidates: `eligible`, or `all` to rank rarely liked papers as distractors (cold).
        cutoff: the date of the time setting.
        seed: of the split and of the model.
        config: the model's configuration or a mapping of its fields.
        device: as `registry.create`.
        transductive: let training read the text of cold items.
        monitor: told of training progress.
        on_fold: told of each fold's figures.

    Raises:
        ArgumentError: no such fold. CapabilityError: a model that cannot rank new items in the cold setting.
    """
    dealt = split_by or split(data, setting, folds=n_folds, seed=seed, candidates=candidates, cutoff=cutoff)
    chosen = list(range(len(dealt))) if folds is None else list(folds)
    for number in chosen:
        if not 0 <= number < len(dealt):
            raise ArgumentError(f"folds must be from 0 to {len(dealt) - 1}, got {number}")
    rows, users = [], []
    for number in chosen:
        fold = dealt.fold(data, number, transductive=transductive)
        row, ranking = evaluate_fold(fold, model, config=config, seed=seed, device=device, monitor=monitor)
        rows.append(row)
        users.append(ranking.metrics)
        if on_fold is not None:
            on_fold(row)
    mean, deviation = aggregate([{name: value for name, value in row.items() if name != "fold"} for row in rows])
    result = {
        "data": data.name,
        "model": model,
        "setting": dealt.setting,
        "candidates": dealt.candidates,
        "transductive": transductive,
        "seed": seed,
        "config": create(model, config).config.to_dict(),
        "versions": versions(),
        "machine": machine(),
        "folds": rows,
        "mean": mean,
        "sd": deviation,
    }
    return Evaluation(result, users)


def evaluate_fold(
    fold: Fold,
    model: str,
    *,
    config: Any = None,
    seed: int = 0,
    device: str = "auto",
    monitor: Monitor | None = None,
    top: int = LIST_LENGTH,
    prepare: Callable[[Dataset], Dataset] = lambda train: train,
) -> tuple[dict[str, Any], FoldRanking]:
    """Fit and test a model on one fold.

    Args:
        fold: the fold.
        model: a name of `registry.MODELS`.
        config: the model's configuration or a mapping of its fields.
        seed: of the model and of what is held out for early stopping.
        device: as `registry.create`.
        monitor: told of training progress.
        top: length of the top lists, at least 50.
        prepare: changes what is trained on, after the validation part was held out of it.

    Returns:
        The figures of the fold (docs/json.md, `folds`), and the ranks and top lists they come from.

    Raises:
        CapabilityError: a model that cannot rank new items was given a cold fold.
        KeyboardInterrupt: Ctrl-C while training, which then kept its best epoch; a half-trained model has no figures.
    """
    _reset_peak()
    started = time.perf_counter()
    recommender = create(model, config, seed=seed, device=device)
    validation = None
    if model_class(model).stops_early:
        how: Literal["cold", "warm"] = "warm" if fold.setting == "warm" else "cold"
        validation = hold_out(fold.train, how, seed=seed, fold=fold.number, transductive=fold.transductive)
        validation = replace(validation, train=prepare(validation.train))
    recommender.fit(prepare(fold.train), validation=validation, monitor=monitor)
    score, _ = recommender.scorer(fold.candidates)
    ranking = rank_fold(fold, score, k=max(top, LIST_LENGTH))
    row: dict[str, Any] = {"fold": fold.number, **summary(fold, ranking), **_tag_row(recommender, fold)}
    row |= {"seconds": time.perf_counter() - started, "peak_mb": _peak_mb()}
    row |= {"tokens_encoded": recommender.report.tokens_encoded, "best_epoch": recommender.report.best_epoch}
    if recommender.report.interrupted:
        raise KeyboardInterrupt
    return row, ranking


def _tag_row(recommender: Recommender, fold: Fold) -> dict[str, float]:
    """Recall@50 of the hidden tags, for a model that predicts tags and a fold that hides some."""
    if "tags" not in recommender.capabilities or fold.test_tags is None or fold.test_tags.nnz == 0:
        return {}
    tagged = np.flatnonzero(np.diff(fold.test_tags.indptr))
    scores = recommender.tag_scores(fold.candidates.take(tagged))
    return {"tag_recall@50": float(tag_recall(scores, fold.test_tags[tagged], 50).mean())}


def versions() -> dict[str, str]:
    """Versions of what computes."""
    packages = ("numpy", "scipy", "scikit-learn", "polars", "torch")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"textrec": __version__, "python": platform.python_version(), **found}


def machine() -> dict[str, Any]:
    """The processor, its cores, and the threads in use."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux: the short name stands
    return {"processor": name, "cores": os.cpu_count(), "system": platform.system()}


def _reset_peak() -> None:
    """Start the peak of resident memory anew, where the kernel can (Linux).

    What earlier folds of the process used and freed is given back first; it would count as this fold's otherwise.
    """
    gc.collect()
    give_back_free_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_mb() -> float:
    """Peak resident memory in MB since the last reset (elsewhere than on Linux: since the start)."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024
