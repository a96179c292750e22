"""`textrec tags`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from textrec.cli.listing import Labels, grouped, print_lists
from textrec.cli.options import Device, Encoding, Json, ModelFolder, Texts, Threads, TopK
from textrec.cli.output import print_json
from textrec.cli.running import load_model
from textrec.errors import ArgumentError

__all__ = ["tags"]


def tags(
    model: ModelFolder,
    text: Texts = None,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="In place of --text: an items table to read.")
    ] = None,
    k: TopK = 10,
    as_json: Json = False,
    encoding: Encoding = "utf-8",
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Predict the tags of texts, with a model that learns tags (embed-mtl)."""
    if bool(text) == (items is not None):
        raise ArgumentError("give either --text TEXT or --items FILE")
    recommender = load_model(model, device=device, threads=threads)
    from textrec.data.tables import read_items
    from textrec.learn.selection import as_new_items

    new = as_new_items(text) if items is None else read_items(items, encoding=encoding)
    frame = recommender.predict_tags(new, k)
    groups: list[dict[str, Any]] = grouped(frame, "item_id", "tags", Labels(recommender, new))
    if as_json:
        print_json({"model": recommender.name, "k": k, "tags": groups})
        return
    print_lists(groups, "tags", "Tags of {title!r}", {"rank": "rank", "tag": "tag", "score": "score"})
