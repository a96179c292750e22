"""`textrec search`."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textrec.cli.flags import changed, configuration, flagged
from textrec.cli.options import (
    ConfigFile,
    Data,
    Device,
    Encoding,
    ItemsFile,
    LikesFile,
    MinLikes,
    MinRating,
    MinTagItems,
    Model,
    Seed,
    Strict,
    Threads,
)
from textrec.cli.output import check_format, number, print_table, say, staged
from textrec.cli.progress import monitored, spinner
from textrec.cli.running import note, read_data, set_threads, show_problems
from textrec.errors import ArgumentError

if TYPE_CHECKING:
    from textrec.dataset import Dataset
    from textrec.study.search import Search, Trial

__all__ = ["search"]

SHOWN_TRIALS = 5


def search(
    ctx: typer.Context,
    data: Data = None,
    model: Model = "embed-mtl",
    trials: Annotated[
        int, typer.Option("--trials", min=1, metavar="N", help="In all, those done before included.")
    ] = 30,
    storage: Annotated[
        str, typer.Option("--storage", metavar="URL", help="A database that keeps the trials, or an SQLite file.")
    ] = "sqlite:///search.db",
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the best configuration (.toml).")
    ] = Path("best.toml"),
    setting: Annotated[
        str, typer.Option(metavar="cold|warm", help="Judge by new items, or by new likes of known items.")
    ] = "cold",
    all_data: Annotated[
        bool,
        typer.Option(
            "--all-data", help="Search in all data, for a model to use; else in the training part of fold 0, to report."
        ),
    ] = False,
    config_file: ConfigFile = None,
    seed: Seed = 0,
    min_likes: MinLikes = 5,
    min_tag_items: MinTagItems = 10,
    likes: LikesFile = None,
    items: ItemsFile = None,
    min_rating: MinRating = None,
    strict: Strict = False,
    encoding: Encoding = "utf-8",
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Search for a good configuration on validation items, never on a test fold.

    Fields given as flags, or set in --config to other than their default, keep their value; the others that matter
    are searched. The same command goes
    on where it was stopped: after Ctrl-C, after a kill, or with more --trials.
    """
    set_threads(threads)
    check_format(out, (".toml",))
    if setting not in ("cold", "warm"):
        raise ArgumentError(f"--setting must be cold or warm, got {setting!r}")
    config = configuration(ctx, model, config_file)
    fixed = changed(config) | {name: getattr(config, name) for name in flagged(ctx)}
    from textrec.study.search import Search

    with spinner("reading"):
        dataset = read_data(data, likes, items, min_rating, strict, encoding, quiet=True)
        dataset = dataset.filtered(min_likes=min_likes, min_tag_items=min_tag_items)
    show_problems(dataset)
    part = dataset if all_data else _training_part(dataset, setting, seed)
    how: Any = {"setting": setting, "storage": storage, "seed": seed, "device": device}
    study = Search(part, model, fixed=fixed, **how)
    say(f"study {study.name!r} in {storage}: {len(study.trials)} of {trials} trials are done")
    say(f"searching {', '.join(study.space)}; judged by {study.metric} of {len(study.fold.candidates):,} candidates")
    try:
        study.run(trials, watch=_watch(model, trials), on_trial=lambda trial: note(_line(study, trial, trials)))
    finally:
        if study.best is not None:
            _print(study)
            _write(study, out)


def _training_part(dataset: Dataset, setting: str, seed: int) -> Dataset:
    """What `evaluate` trains fold 0 on."""
    from textrec.protocol.splits import split

    how: Any = setting
    return split(dataset, how, seed=seed).fold(dataset, 0).train


def _watch(model: str, trials: int) -> Callable[[int], AbstractContextManager[Any]]:
    return lambda done: monitored(f"trial {done + 1}/{trials}, {model}")


def _line(study: Search, trial: Trial, trials: int) -> str:
    value = "failed" if trial.state == "failed" else f"{study.metric} {number(trial.value)}"
    best = f", best {study.best.value:.4f}" if study.best is not None else ""
    state = " (stopped early)" if trial.state == "stopped" else ""
    place = f"trial {len(study.trials)}/{trials}"
    return f"{place}: {value}{state}{best}, {trial.seconds:.0f} s: {_settings(trial.values)}"


def _settings(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={json.dumps(value)}" for name, value in values.items())


def _print(study: Search) -> None:
    """The best trials, one a column."""
    done = [trial for trial in study.trials if trial.state == "done"]
    best = sorted(done, key=lambda trial: -(trial.value or 0.0))[:SHOWN_TRIALS]
    counts = [(sum(trial.state == state for trial in study.trials), state) for state in ("done", "stopped", "failed")]
    said = ", ".join(f"{count} {state}" for count, state in counts if count)
    rows = [[study.metric, *(number(trial.value) for trial in best)]]
    rows += [[name, *(_cell(trial.values[name]) for trial in best)] for name in best[0].values]
    rows.append(["seconds", *(f"{trial.seconds:.0f}" for trial in best)])
    headings = [f"trial {trial.number}" for trial in best]
    print_table(f"{study.model}, the best of {said}", ["", *headings], rows, right=headings)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _write(study: Search, out: Path) -> None:
    with staged(out) as place:
        place.write_text(study.best_toml(), encoding="utf-8")
    say(f"wrote {out}")
    say(f"next: textrec train {study.train.name or 'DATA'} --model {study.model} --config {out} --out model/")
