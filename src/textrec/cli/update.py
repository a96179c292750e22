"""`textrec update`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textrec.cli.options import Device, Encoding, ModelFolder, Strict, Threads
from textrec.cli.output import say
from textrec.cli.progress import spinner
from textrec.cli.running import load_model, warn

if TYPE_CHECKING:
    import polars as pl

    from textrec.dataset import Ids

__all__ = ["update"]


def update(
    model: ModelFolder,
    likes: Annotated[
        Path, typer.Option("--likes", metavar="FILE", help="New likes: a table with user_id and item_id.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", show_default="MODEL itself", help="Where to write the model."),
    ] = None,
    strict: Strict = False,
    encoding: Encoding = "utf-8",
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Take in new likes of known and new users: factors are solved again, what was learnt from text stays."""
    recommender = load_model(model, device=device, threads=threads)
    from textrec.model_folder import save

    frame = _new_likes(likes, recommender.data.items.ids, strict, encoding)
    users, known = recommender.data.n_users, recommender.data.n_likes
    with spinner("solving"):
        recommender.update(frame)
    save(recommender, out or model)
    more_users, more_likes = recommender.data.n_users - users, recommender.data.n_likes - known
    say(f"took in {more_likes:,} new likes and {more_users:,} new users; saved {out or model}")


def _new_likes(path: Path, catalogue: Ids, strict: bool, encoding: str) -> pl.DataFrame:
    """A frame `user_id, item_id` of likes of known items."""
    import polars as pl

    from textrec.data.columns import id_column
    from textrec.data.files import read_table
    from textrec.errors import DataError, Problem

    table = read_table(path, ("user_id", "item_id"), name="likes", encoding=encoding)
    if missing := table.require(["user_id", "item_id"]):
        raise DataError(missing)
    users, faults = id_column(table, "user_id")
    items, more = id_column(table, "item_id")
    unknown = catalogue.rows(items) < 0
    message = "like of an item that the model does not know; train it with the item, or drop the like"
    if strict:
        more = more + table.errors(unknown, message)
    if faults or more:
        raise DataError([*faults, *more])
    for problem in table.warning(unknown, message):
        warn(str(problem))
    if unknown.all():
        raise DataError(Problem("no like names an item that the model knows; nothing was changed", str(path)))
    return pl.DataFrame({"user_id": users, "item_id": items}).filter(pl.Series(~unknown))
