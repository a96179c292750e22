"""The recipe `paper` against `exact`: what a GRU costs until its Recall@50 reaches 0.40.

    python benchmarks/recipes.py [--rate-steps 400] [--paper-steps 20000] [--minutes 120]

Fold 0 of the titles, cold, CBOW vectors in benchmarks/vectors (`make bench-recipes` makes them). The learning rate of
`paper` is the best of three on validation items after `--rate-steps` steps; that run then goes on. Every choice (rate,
early stopping) is made on validation items; Recall on the fold's own candidates is only written down beside it, at each
validation, because the smaller validation pool is easier. Tokens are counted after items that occur twice in a step are
encoded once, without padding; seconds leave out the time of that extra scoring.

A killed run goes on from its checkpoints in benchmarks/runs/recipes. Writes benchmarks/results/recipes.json and
docs/assets/recipes.svg. Data are read from $TEXTREC_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textrec.data.source import read
from textrec.learn.exact import encode_documents
from textrec.learn.model import Checkpoint
from textrec.models.gru import GruModel
from textrec.protocol.metrics import fold_recall
from textrec.protocol.splits import Fold, hold_out, split
from textrec.study.evaluation import machine, versions

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TEXTREC_DATA") or HERE.parents[1] / "shared" / "data") / "citeulike-a-titles"
RUNS, RESULT = HERE / "runs" / "recipes", HERE / "results" / "recipes.json"
PLOT = HERE.parent / "docs" / "assets" / "recipes.svg"
TARGET = 0.40
RATES = (3e-4, 1e-3, 3e-3)
VECTORS = {"word_vectors": str(HERE / "vectors")}


class Watched(GruModel):
    """A GRU that also scores a fold's own candidates whenever it validates, for the curve."""

    watched: Fold
    test_recall: float = 0.0
    scoring_seconds: float = 0.0

    def _stopping_metric(self, validation: Fold) -> Any:
        chosen, exact = super()._stopping_metric(validation), self.config.recipe == "exact"

        def recall(solved: Any, *others: Any) -> float:
            if exact:
                self._score_fold(others[-1], solved, lambda text: text)
            else:
                self._score_fold(others[-1], solved.user_rows(), lambda text: solved.item_rows(text, None))
            return float(chosen(solved, *others))

        return recall

    def _score_fold(self, encoder: Any, users: Any, items_of: Callable[[Any], Any]) -> None:
        started = time.perf_counter()
        documents = self._documents(self.watched.candidates)
        items = items_of(encode_documents(encoder, documents, precision=self._precision()))
        self.test_recall = fold_recall(self.watched, lambda block: users[block] @ items.T, 50)
        self.scoring_seconds = time.perf_counter() - started


class Curve:
    """What a run showed at each validation, kept in a file so that a resumed run has all of it."""

    def __init__(self, folder: Path, model: Watched, deadline: float) -> None:
        self.path, self.model, self.deadline = folder / "curve.jsonl", model, deadline
        self.points: dict[int, dict[str, Any]] = {}
        if self.path.exists():
            self.points = {point["epoch"]: point for point in map(json.loads, self.path.open(encoding="utf-8"))}

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] != "epoch" or event.get("refit"):
            return
        epoch = event["epoch"]
        before = self.points.get(epoch - 1, {"seconds": 0.0})["seconds"]
        point = {
            "epoch": epoch,
            "tokens": event["tokens_encoded"],
            "seconds": before + event["seconds"] - self.model.scoring_seconds,
            "validation": event["recall@50"],
            "test": self.model.test_recall,
        }
        self.points[epoch] = point
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")
        print(
            f"  {self.path.parent.name} {epoch}: {point['tokens']:,} tokens, {point['seconds']:.0f} s, "
            f"validation {point['validation']:.4f}, fold {point['test']:.4f}",
            flush=True,
        )
        if time.monotonic() > self.deadline:
            raise KeyboardInterrupt  # the loop keeps what was done, as after Ctrl-C

    def rows(self, until: int | None = None) -> list[dict[str, Any]]:
        """The points by epoch."""
        return [self.points[epoch] for epoch in sorted(self.points) if until is None or epoch <= until]


def run(name: str, config: dict[str, Any], fold: Fold, validation: Fold, deadline: float) -> list[dict[str, Any]]:
    """Train, or go on training; the curve."""
    folder = RUNS / name
    folder.mkdir(parents=True, exist_ok=True)
    model = Watched(Watched.config_type.from_mapping(VECTORS | config), seed=0)
    model.watched = fold
    curve = Curve(folder, model, deadline)
    resume = any(folder.glob("checkpoint*"))
    if time.monotonic() < deadline or not curve.points:
        checkpoint = Checkpoint(folder, every_seconds=120.0, resume=resume)
        model.fit(fold.train, validation=validation, monitor=curve, checkpoint=checkpoint)
    return curve.rows()


def reached(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first point at or above the target."""
    return next((row for row in rows if row["test"] >= TARGET), None)


def plot(curves: dict[str, list[dict[str, Any]]]) -> None:
    """Recall against tokens and against seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, label in (
        (left, "tokens", "training tokens encoded"),
        (right, "seconds", "training seconds, one thread"),
    ):
        for (name, rows), style in zip(curves.items(), ("-o", "--s"), strict=True):
            axes.plot([row[key] for row in rows], [row["test"] for row in rows], style, label=name, markersize=3)
        axes.axhline(TARGET, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    left.set_ylabel("Recall@50, fold 0, cold")
    left.legend()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate-steps", type=int, default=400, help="steps after which the learning rate is chosen")
    parser.add_argument("--paper-steps", type=int, default=20_000, help="most steps of the chosen run")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop (and keep what was done) after this long")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    deadline = time.monotonic() + 60 * options.minutes
    data = read(DATA).filtered()
    fold = split(data, "cold", seed=0).fold(data, 0)
    validation = hold_out(fold.train, "cold", seed=0, fold=0)
    curves = {"exact": run("exact", {"refit_epochs": 0}, fold, validation, deadline)}
    every = min(100, options.rate_steps)
    paper = {"recipe": "paper", "paper_steps": options.rate_steps, "paper_evaluate_every": every}
    trials = {}
    for rate in RATES:
        rows = run(f"paper-{rate:g}", paper | {"learning_rate": rate}, fold, validation, deadline)
        trials[f"{rate:g}"] = max(row["validation"] for row in rows)
    rate = max(RATES, key=lambda tried: trials[f"{tried:g}"])
    chosen = paper | {"learning_rate": rate, "paper_steps": options.paper_steps}
    curves["paper"] = run(f"paper-{rate:g}-long", chosen, fold, validation, deadline)
    plot(curves)
    RESULT.write_text(json.dumps(summary(curves, trials, rate), indent=1), encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8")[:600])


def summary(curves: dict[str, list[dict[str, Any]]], trials: dict[str, float], rate: float) -> dict[str, Any]:
    """What the JSON file holds; without a point at the target, the ratio is a lower bound."""
    ends = {name: reached(rows) for name, rows in curves.items()}
    cost = {name: ends[name] or rows[-1] for name, rows in curves.items()}
    return {
        "data": "citeulike-a-titles",
        "model": "gru",
        "target_recall@50": TARGET,
        "validation_by_learning_rate_of_paper": trials,
        "learning_rate_of_paper": rate,
        "reached": {name: end is not None for name, end in ends.items()},
        "at_target": cost,
        "best_test_recall@50": {name: float(np.max([row["test"] for row in rows])) for name, rows in curves.items()},
        "tokens_ratio": cost["paper"]["tokens"] / cost["exact"]["tokens"],
        "seconds_ratio": cost["paper"]["seconds"] / cost["exact"]["seconds"],
        "threads": torch.get_num_threads(),
        "curves": curves,
        "machine": machine(),
        "versions": versions(),
    }


if __name__ == "__main__":
    main()
