"""`textrec split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from textrec.cli.options import (
    Candidates,
    Cutoff,
    Data,
    Encoding,
    ItemsFile,
    LikesFile,
    MinLikes,
    MinRating,
    MinTagItems,
    Seed,
    Strict,
)
from textrec.cli.output import print_table, say
from textrec.cli.progress import spinner
from textrec.cli.running import read_data

__all__ = ["split"]


def split(
    data: Data = None,
    setting: Annotated[
        str, typer.Option(metavar="cold|warm|time", help="Hold out items, likes, or items that are new after a date.")
    ] = "cold",
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The split file to write.")] = Path(
        "folds.json"
    ),
    folds: Annotated[int, typer.Option("--folds", metavar="N", help="How many folds.")] = 5,
    cutoff: Cutoff = None,
    candidates: Candidates = "eligible",
    seed: Seed = 0,
    min_likes: MinLikes = 5,
    min_tag_items: MinTagItems = 10,
    likes: LikesFile = None,
    items: ItemsFile = None,
    min_rating: MinRating = None,
    strict: Strict = False,
    encoding: Encoding = "utf-8",
) -> None:
    """Cut data into folds and write them to a file that evaluate reads."""
    from textrec.protocol.splits import split as cut

    dataset = read_data(data, likes, items, min_rating, strict, encoding)
    dataset = dataset.filtered(min_likes=min_likes, min_tag_items=min_tag_items)
    how: Any = {"setting": setting, "candidates": candidates}
    dealt = cut(dataset, folds=folds, seed=seed, cutoff=cutoff, **how)
    with spinner("checking the folds"):
        rows = []
        for number in range(len(dealt)):
            fold = dealt.fold(dataset, number)
            sizes = [fold.train.n_likes, int(fold.test_likes.nnz), len(fold.test_users), len(fold.candidates)]
            rows.append([number, *sizes])
    dealt.save(out, dataset)
    columns = ["fold", "training likes", "test likes", "test users", "candidates"]
    print_table(f"{dataset.name or 'data'}, setting {setting}, seed {seed}", columns, rows)
    say(f"wrote {out}")
