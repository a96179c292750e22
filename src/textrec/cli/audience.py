"""`textrec audience`."""

from __future__ import annotations

from typing import Annotated

import typer

from textrec.cli.listing import Labels, asked_items, grouped, print_lists
from textrec.cli.options import Device, ItemIds, Json, ModelFolder, Texts, Threads, TopK
from textrec.cli.output import print_json
from textrec.cli.running import load_model

__all__ = ["audience"]


def audience(
    model: ModelFolder,
    item: ItemIds = None,
    text: Texts = None,
    k: TopK = 10,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also users who already liked the item.")
    ] = False,
    as_json: Json = False,
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Find the users who would want an item most, even a text that nobody has seen yet."""
    items, new = asked_items(item, text)
    recommender = load_model(model, device=device, threads=threads)
    frame = recommender.audience(items, k, exclude_seen=not include_seen)
    groups = grouped(frame.rename({"user_id": "user"}), "item_id", "users", Labels(recommender, new))
    for group in groups:
        group["users"] = [
            {"rank": entry["rank"], "user_id": entry["user"], "score": entry["score"]} for entry in group["users"]
        ]
    if as_json:
        print_json({"model": recommender.name, "k": k, "audience": groups})
        return
    columns = {"rank": "rank", "user": "user_id", "score": "score"}
    print_lists(groups, "users", "Who would want {title!r}", columns)
