"""`textrec train`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from textrec.cli.flags import changed, configuration
from textrec.cli.options import (
    Cluster,
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
    Workers,
)
from textrec.cli.output import say
from textrec.cli.progress import monitored, spinner
from textrec.cli.running import read_data, set_threads, shared_by, show_problems, warn

if TYPE_CHECKING:
    from textrec.dataset import Dataset
    from textrec.learn.model import FitReport
    from textrec.learn.recommender import Recommender
    from textrec.protocol.splits import Fold

__all__ = ["check_place", "checkpoint_folder", "train"]

VALIDATIONS = ("cold", "warm", "none")


def train(
    ctx: typer.Context,
    data: Data = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="The model folder to write; an older one is replaced.")
    ] = Path("model"),
    model: Model = "tfidf",
    config_file: ConfigFile = None,
    likes: LikesFile = None,
    items: ItemsFile = None,
    min_rating: MinRating = None,
    strict: Strict = False,
    encoding: Encoding = "utf-8",
    min_likes: MinLikes = 0,
    min_tag_items: MinTagItems = 10,
    validate: Annotated[
        str | None,
        typer.Option(
            metavar="cold|warm|none",
            show_default="cold if the model can",
            help="What decides when to stop: new items, or new likes of known items.",
        ),
    ] = None,
    without_likes: Annotated[
        bool, typer.Option("--without-likes", help="Leave who liked what out of the model folder, for privacy.")
    ] = False,
    json_log: Annotated[
        Path | None, typer.Option("--json-log", metavar="FILE", help="Write each event of training as a JSON line.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the same training where it was stopped or killed.")
    ] = False,
    checkpoint_every: Annotated[
        float,
        typer.Option(
            "--checkpoint-every", min=0, metavar="SECONDS", help="How often progress is saved, beside every epoch."
        ),
    ] = 60.0,
    seed: Seed = 0,
    threads: Threads = None,
    device: Device = "auto",
    cluster: Cluster = None,
    workers: Workers = None,
) -> None:
    """Train a model and write it to a folder.

    Every field of the model's configuration is an option too, such as --learning-rate 0.01 for learning_rate;
    textrec config --model NAME shows them. Ctrl-C ends training and keeps the best epoch so far (a blend, which needs
    all of its members, keeps no model); the same command with --resume goes on from there, after a kill or a power cut
    too.
    """
    set_threads(threads)
    check_place(out)
    shared = shared_by(cluster, workers, threads)
    config = configuration(ctx, model, config_file)
    from textrec.learn.model import Checkpoint
    from textrec.model_folder import check_likes_may_go, save
    from textrec.registry import create

    recommender = create(model, config, seed=seed, device=device)
    check_likes_may_go(recommender, not without_likes)
    if shared is not None:
        from textrec.cluster.training import check_trainable

        check_trainable(recommender)
    how = _validation(recommender, validate)
    with spinner("reading"):
        dataset = read_data(data, likes, items, min_rating, strict, encoding, quiet=True)
        dataset = dataset.filtered(min_likes=min_likes, min_tag_items=min_tag_items)
    show_problems(dataset)
    say(f"{dataset.name or 'data'}: {dataset.n_users:,} users, {dataset.n_items:,} items, {dataset.n_likes:,} likes")
    settings = " ".join(f"{name}={json.dumps(value)}" for name, value in changed(config).items())
    say(f"model {model}: {settings or 'default configuration'}, seed {seed}")
    fold = _held_out(dataset, how, seed, asked=validate is not None)
    with monitored(f"training {model}", json_log) as monitor:
        if not resume:
            shutil.rmtree(checkpoint_folder(out), ignore_errors=True)  # of another training
        checkpoint = Checkpoint(checkpoint_folder(out), checkpoint_every, resume)
        how_to_fit: dict[str, Any] = {"validation": fold, "monitor": monitor, "checkpoint": checkpoint}
        try:
            if shared is None:
                recommender.fit(dataset, **how_to_fit)
            else:
                from textrec.cluster.training import fit_on_cluster

                fit_on_cluster(recommender, dataset, **how_to_fit, **shared)
        except KeyboardInterrupt:  # a model that is nothing before it is whole, such as a blend
            if checkpoint.folder.exists():
                warn("there is no model yet; the same command with --resume goes on where training was stopped")
            raise
    place = save(recommender, out, with_likes=not without_likes)
    if not recommender.report.interrupted:
        shutil.rmtree(checkpoint_folder(out), ignore_errors=True)
    for line in _outcome(recommender, fold, place, out, without_likes):
        say(line)


def checkpoint_folder(out: Path) -> Path:
    """Where training for the model folder `out` saves its progress: beside it, gone once the model is there."""
    place = out.absolute()
    return place.parent / f".{place.name}.checkpoint"


def check_place(out: Path) -> None:
    """Refuse before training what saving would refuse after it."""
    from textrec.errors import ModelFolderError

    foreign = out.is_dir() and any(out.iterdir()) and not (out / "config.json").is_file()
    if foreign or (out.exists() and not out.is_dir()):
        raise ModelFolderError(f"{out}: exists and is not a model folder; choose another place for --out")


def _validation(model: Recommender, asked: str | None) -> str:
    from textrec.errors import ArgumentError

    if asked is not None and asked not in VALIDATIONS:
        raise ArgumentError(f"--validate must be one of {', '.join(VALIDATIONS)}, got {asked!r}")
    if not model.stops_early:
        if asked not in (None, "none"):
            warn(f"--validate {asked} changes nothing: the model {model.name!r} does not stop early")
        return "none"
    return asked or ("cold" if "cold" in model.capabilities else "warm")


def _held_out(dataset: Dataset, how: str, seed: int, *, asked: bool) -> Fold | None:
    from textrec.errors import DataError
    from textrec.protocol.splits import hold_out

    if how == "none":
        return None
    setting: Literal["cold", "warm"] = "cold" if how == "cold" else "warm"
    try:
        return hold_out(dataset, setting, seed=seed, fold=0)
    except DataError as error:
        if asked:
            raise
        warn(f"training without validation: {error}")
        return None


def _outcome(model: Recommender, fold: Fold | None, place: Path, out: Path, without_likes: bool) -> list[str]:
    report: FitReport = model.report
    lines = []
    if report.interrupted:
        lines.append(f"stopped by Ctrl-C after {report.epochs} epochs; the best so far is kept, --resume goes on")
    if report.epochs:
        value = f", {fold.setting} validation {report.validation:.4f}" if fold and report.validation is not None else ""
        lines.append(f"trained {report.epochs} epochs, the best is number {report.best_epoch}{value}")
    size = sum(entry.stat().st_size for entry in place.iterdir()) / 1e6
    lines.append(f"saved {out} ({size:,.1f} MB{', without likes' if without_likes else ''})")
    user: Any = model.data.users[0]
    seen = " --include-seen" if without_likes else ""
    lines.append(f"next: textrec recommend {out} --user {user}{seen}")
    return lines
