"""Arguments and options that several commands share, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Candidates",
    "Cluster",
    "ConfigFile",
    "Cutoff",
    "Data",
    "Device",
    "Encoding",
    "ItemIds",
    "ItemsFile",
    "Json",
    "LikesFile",
    "MinLikes",
    "MinRating",
    "MinTagItems",
    "Model",
    "ModelFolder",
    "Seed",
    "Strict",
    "Texts",
    "Threads",
    "TopK",
    "Workers",
]

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help="A folder with likes and items tables, of columns (textrec data convert) or in a CiteULike layout, the "
        "name of public data (citeulike-a, citeulike-t), or sample for the built-in one.",
    ),
]
LikesFile = Annotated[
    Path | None,
    typer.Option("--likes", metavar="FILE", help="In place of DATA: a likes table (user_id, item_id, …)."),
]
ItemsFile = Annotated[
    Path | None,
    typer.Option("--items", metavar="FILE", help="Beside --likes: an items table (item_id, title, text, tags)."),
]
MinRating = Annotated[
    float | None, typer.Option("--min-rating", metavar="X", help="Likes rated lower are left out (column rating).")
]
Strict = Annotated[bool, typer.Option("--strict", help="A like of an unknown item is an error, not a warning.")]
Encoding = Annotated[str, typer.Option("--encoding", metavar="NAME", help="Of text files.")]
MinLikes = Annotated[int, typer.Option("--min-likes", min=0, metavar="N", help="Leave out users with fewer likes.")]
MinTagItems = Annotated[int, typer.Option("--min-tag-items", min=0, metavar="N", help="Leave out tags on fewer items.")]

ModelFolder = Annotated[
    Path, typer.Argument(metavar="MODEL", show_default=False, help="A model folder, made by textrec train.")
]
Model = Annotated[str, typer.Option("--model", "-m", metavar="NAME", help="The model; textrec models lists them.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The model's configuration as TOML; see textrec config."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of every random choice.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, metavar="N", show_default="all cores", help="Processor threads.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="local|auto|HOST:PORT",
        show_default="this process alone",
        help="Share the work among processes (extra ray): of this machine, or of a Ray cluster it belongs to.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", show_default="2", help="With --cluster: how many, each with --threads (1)."),
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.")]

TopK = Annotated[int, typer.Option("-k", "--top", metavar="N", help="How many to show.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to the standard output and nothing else.")]
ItemIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ITEM]…", show_default=False, help="Ids of items in the model's catalogue."),
]
Texts = Annotated[list[str] | None, typer.Option("--text", metavar="TEXT", help="A text to read; may be repeated.")]

Candidates = Annotated[
    str,
    typer.Option(metavar="eligible|all", help="all: rank items with few likes as well (setting cold)."),
]
Cutoff = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Setting time: items first liked from this date on are new (2016-09-15)."),
]
