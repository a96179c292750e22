"""`textrec evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from textrec.cli.flags import configuration
from textrec.cli.options import (
    Candidates,
    ConfigFile,
    Cutoff,
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
from textrec.cli.output import print_table, say, write_json
from textrec.cli.progress import monitored, spinner
from textrec.cli.running import note, read_data, set_threads, show_problems
from textrec.errors import ArgumentError

__all__ = ["evaluate", "print_folds"]

SHOWN = ("recall@10", "recall@50", "recall@100", "ndcg@50", "hr@10", "mrr", "tag_recall@50")


def evaluate(
    ctx: typer.Context,
    data: Data = None,
    model: Model = "tfidf",
    setting: Annotated[
        str | None,
        typer.Option(
            metavar="cold|warm|time",
            show_default="cold",
            help="Rank new items, known items, or items that are new after a date.",
        ),
    ] = None,
    folds: Annotated[
        str | None, typer.Option("--folds", metavar="0,1,…", show_default="all", help="Which folds to run.")
    ] = None,
    n_folds: Annotated[int, typer.Option("--n-folds", metavar="N", help="How many folds to deal.")] = 5,
    split: Annotated[
        Path | None, typer.Option("--split", metavar="FILE", help="Use the folds of a split file (textrec split).")
    ] = None,
    cutoff: Cutoff = None,
    candidates: Candidates = "eligible",
    transductive: Annotated[
        bool, typer.Option("--transductive", help="Let training read the text of the items it is tested on.")
    ] = False,
    config_file: ConfigFile = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON; - is standard output.")
    ] = None,
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
    """Train and test a model, fold by fold.

    Every field of the model's configuration is an option too; textrec config --model NAME shows them.
    """
    set_threads(threads)
    chosen = _numbers(folds)
    if json_file is not None and str(json_file) != "-" and not json_file.absolute().parent.is_dir():
        raise ArgumentError(f"--json: there is no folder {str(json_file.absolute().parent)!r}; make it first")
    config = configuration(ctx, model, config_file)
    from textrec.protocol.splits import Split
    from textrec.study.evaluation import evaluate as run

    with spinner("reading"):
        dataset = read_data(data, likes, items, min_rating, strict, encoding, quiet=True)
        dataset = dataset.filtered(min_likes=min_likes, min_tag_items=min_tag_items)
    show_problems(dataset)
    given = None if split is None else Split.load(split, dataset)
    if given is not None and setting not in (None, given.setting):
        raise ArgumentError(f"--setting {setting} and the setting of {split}, {given.setting}, differ; leave one out")
    how: Any = {"setting": setting or "cold", "candidates": candidates}
    with monitored(model) as monitor:
        found = run(
            dataset,
            model,
            folds=chosen,
            split_by=given,
            n_folds=n_folds,
            cutoff=cutoff,
            seed=seed,
            config=config,
            device=device,
            transductive=transductive,
            monitor=monitor,
            on_fold=_tell,
            **how,
        )
    if json_file is not None:
        write_json(json_file, found.result)
    if str(json_file) == "-":
        return
    print_folds(found.result)
    if json_file is not None:
        say(f"wrote {json_file}")


def _tell(row: Mapping[str, Any]) -> None:
    note(f"fold {row['fold']}: recall@50 {row['recall@50']:.4f}, {row['seconds']:.1f} s, {row['peak_mb']:,.0f} MB")


def print_folds(result: dict[str, Any], *, cost: bool = True) -> None:
    """The figures of an evaluation, a row a fold, then mean and standard deviation."""
    shown = [name for name in SHOWN if name in result["mean"]]
    sizes = ["users", "candidates"] + (["seconds"] if cost else [])
    rows: list[list[Any]] = []
    for row in result["folds"]:
        rows.append([str(row["fold"]), *(row[name] for name in shown), *(_size(row[name]) for name in sizes)])
    for label in ("mean", "sd"):
        rows.append([label, *(result[label][name] for name in shown), *([""] * len(sizes))])
    title = f"{result['model']} on {result['data'] or 'data'}, setting {result['setting']}, seed {result['seed']}"
    print_table(title, ["fold", *shown, *sizes], rows, right=sizes)


def _size(value: float) -> Any:
    return value if isinstance(value, int) else f"{value:.1f}"


def _numbers(folds: str | None) -> list[int] | None:
    if folds is None:
        return None
    try:
        return list(dict.fromkeys(int(number) for number in folds.split(",")))
    except ValueError:
        raise ArgumentError(f"--folds must be fold numbers such as 0,1,2, got {folds!r}") from None
