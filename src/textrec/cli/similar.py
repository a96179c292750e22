"""`textrec similar`."""

from __future__ import annotations

from textrec.cli.listing import Labels, asked_items, grouped, print_lists
from textrec.cli.options import Device, ItemIds, Json, ModelFolder, Texts, Threads, TopK
from textrec.cli.output import print_json
from textrec.cli.running import load_model

__all__ = ["similar"]


def similar(
    model: ModelFolder,
    item: ItemIds = None,
    text: Texts = None,
    k: TopK = 10,
    as_json: Json = False,
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Find the items of the catalogue that are nearest to an item or a text."""
    items, new = asked_items(item, text)
    recommender = load_model(model, device=device, threads=threads)
    groups = grouped(recommender.similar(items, k), "item_id", "items", Labels(recommender, new))
    if as_json:
        print_json({"model": recommender.name, "k": k, "similar": groups})
        return
    columns = {"rank": "rank", "item": "item_id", "title": "title", "score": "score"}
    print_lists(groups, "items", "Similar to {title!r}", columns)
