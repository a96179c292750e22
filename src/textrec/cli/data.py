"""`textrec data info`, `textrec data convert` and `textrec data fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from textrec.cli.options import Data, Encoding, ItemsFile, Json, LikesFile, MinRating, Strict
from textrec.cli.output import print_json, print_table, say
from textrec.cli.progress import spinner
from textrec.cli.running import note, read_data, show_problems

__all__ = ["convert", "fetch", "info"]

COUNTS = {
    "users": "users",
    "items": "items",
    "likes": "likes",
    "sparsity_percent": "sparsity, %",
    "items_with_5_likes": "items with ≥ 5 likes",
    "tags": "tags",
    "tags_used": "tags on an item",
    "tags_on_10_items": "tags on ≥ 10 items",
}


def info(
    data: Data = None,
    likes: LikesFile = None,
    items: ItemsFile = None,
    min_rating: MinRating = None,
    strict: Strict = False,
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Count what data holds, and list what is wrong with it.

    Users, items, likes and tags before and after the protocol's filters, lengths of texts, and every problem with
    its file and line.
    """
    from textrec.data.statistics import describe

    with spinner("reading"):
        dataset = read_data(data, likes, items, min_rating, strict, encoding, quiet=True)
        facts = describe(dataset)
    if as_json:
        print_json(facts)
        return
    after = facts["filtered"] or {}
    rows = [[heading, facts[key], after.get(key)] for key, heading in COUNTS.items()]
    print_table(facts["name"] or "data", ["", "as read", "after the filters*"], rows)
    for line in _details(facts):
        say(line)
    if facts["filtered"] is None:
        say("* no user is left")
    else:
        say("* users with at least 5 likes, then tags on at least 10 items")
    show_problems(dataset, len(dataset.problems))


def _details(facts: dict[str, Any]) -> list[str]:
    text, users, items = facts["text"], facts["likes_per_user"], facts["likes_per_item"]
    kind = "texts in word order" if text["ordered"] else "bags of words"
    vocabulary = f"words seen 5 times or more: {facts['vocabulary']:,}"
    if facts["paper_vocabulary"]:
        vocabulary += f" (the paper, with abstracts: {facts['paper_vocabulary']:,})"
    lines = [
        f"likes a user: median {users['median']:g}, most {users['max']:,}",
        f"likes an item: median {items['median']:g}, most {items['max']:,}",
        f"{kind}: mean {text['mean']:g} tokens, median {text['median']:g}, 95 % up to {text['p95']:g}, "
        f"longest {text['max']:,}, empty {text['empty']:,}",
        vocabulary,
    ]
    if facts["timestamps"]:
        lines.append(f"likes from {facts['timestamps']['first']} to {facts['timestamps']['last']}")
    return lines


def convert(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The columnar folder to write.")],
    data: Data = None,
    likes: LikesFile = None,
    items: ItemsFile = None,
    min_rating: MinRating = None,
    strict: Strict = False,
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Write data as a columnar folder, which opens at once and is read from the disk as it is needed.

    Likes, tags and tokenised texts become memory-mapped arrays. Every command that takes DATA takes the folder.
    """
    from dataclasses import asdict

    from textrec.data.columnar_writer import write_columnar

    with spinner("reading"):
        dataset = read_data(data, likes, items, min_rating, strict, encoding, quiet=True)
    show_problems(dataset)
    with spinner("writing"):
        sizes = write_columnar(dataset, out)
    if as_json:
        print_json({"out": str(out), **asdict(sizes)})
        return
    say(f"wrote {sizes.users:,} users, {sizes.items:,} items, {sizes.likes:,} likes, {sizes.tokens:,} tokens to {out}")


def fetch(
    name: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False, help="Which public data.")] = None,
    cache_dir: Annotated[
        Path | None, typer.Option("--cache-dir", metavar="FOLDER", help="Where to keep it; else $TEXTREC_CACHE.")
    ] = None,
) -> None:
    """Fetch public data from a pinned commit, verify every file, and keep it; without a name, list what there is."""
    from textrec.data.catalogue import CATALOGUE
    from textrec.data.catalogue import fetch as fetch_data

    if name is None:
        rows = [[key, entry.repository, len(entry.files)] for key, entry in CATALOGUE.items()]
        print_table("Public data", ["name", "repository", "files"], rows)
        return
    with spinner(f"fetching {name}"):
        folder = fetch_data(name, cache_dir=cache_dir, progress=lambda file: note(f"fetching {file}"))
    say(str(folder))
