"""`textrec recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textrec.cli.listing import Labels, grouped, print_lists
from textrec.cli.options import Cluster, Device, Encoding, Json, ModelFolder, Threads, TopK, Workers
from textrec.cli.output import check_format, print_json, say, write_frames
from textrec.cli.progress import counted, spinner
from textrec.cli.running import load_model, shared_by
from textrec.errors import ArgumentError

if TYPE_CHECKING:
    from textrec.dataset import Items

__all__ = ["catalogue_and", "recommend"]


def recommend(
    model: ModelFolder,
    user: Annotated[list[str] | None, typer.Option("--user", "-u", metavar="ID", help="May be repeated.")] = None,
    liked: Annotated[
        list[str] | None,
        typer.Option("--liked", metavar="IDS", help="Items that a user who was never trained likes: 3,18."),
    ] = None,
    liked_text: Annotated[
        list[str] | None, typer.Option("--liked-text", metavar="TEXT", help="A text they like; may be repeated.")
    ] = None,
    all_users: Annotated[bool, typer.Option("--all-users", help="For every user of the model, to --out.")] = False,
    k: TopK = 10,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="New items, ranked by their text beside the known.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="new|known", help="Rank only the new items of --items, or only the known.")
    ] = None,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Also what the user already liked.")] = False,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="auto|exact|approximate",
            help="With --all-users: auto, the default, is approximate above 200,000 candidates.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write .parquet, .csv, .tsv or .jsonl.")
    ] = None,
    as_json: Json = False,
    encoding: Encoding = "utf-8",
    threads: Threads = None,
    device: Device = "auto",
    cluster: Cluster = None,
    workers: Workers = None,
) -> None:
    """Recommend items to users, or to somebody who was never trained."""
    asked = _asked(user, liked, liked_text, all_users, out)
    _check_pool(items, only)
    _check_search(search, all_users)
    shared = shared_by(cluster, workers, threads)
    if shared is not None and (not all_users or search == "approximate"):
        raise ArgumentError("--cluster shares the exact search of --all-users; leave it out for anything else")
    recommender = load_model(model, device=device, threads=threads)
    pool, new = None, None
    if items is not None and only != "known":
        pool, new = _pool(recommender.data.items, items, only, encoding)
    if all_users and out is not None:
        how: dict[str, Any] = {"k": k, "items": pool, "exclude_seen": not include_seen}
        _write_everyone(out, recommender, how, search, as_json, shared)
        return
    blocks = recommender.recommend_blocks(**asked, k=k, items=pool, exclude_seen=not include_seen)
    if out is not None:
        _write(out, blocks, len(asked["users"] or [0]), as_json)
        return
    import polars as pl

    groups = grouped(pl.concat(list(blocks)), "user_id", "items", Labels(recommender, new))
    if as_json:
        print_json({"model": recommender.name, "k": k, "recommendations": groups})
        return
    print_lists(
        groups,
        "items",
        "For user {user_id}" if asked["liked"] is None else "For somebody with these likes",
        {"rank": "rank", "item": "item_id", "title": "title", "score": "score"},
    )
    if not groups:
        say("nothing is left to recommend: every candidate is already liked (--include-seen shows them)")


def _asked(
    user: list[str] | None, liked: list[str] | None, liked_text: list[str] | None, all_users: bool, out: Path | None
) -> dict[str, Any]:
    """The arguments `users` and `liked` of `Recommender.recommend`."""
    ids = [name.strip() for part in liked or [] for name in part.split(",") if name.strip()]
    for text in liked_text or []:
        if len(text.split()) < 2:
            raise ArgumentError(f"--liked-text must have two words at least, got {text!r}; --liked takes item ids")
    strings = list(dict.fromkeys([*ids, *(liked_text or [])]))
    if (bool(user) + bool(strings) + all_users) != 1:
        raise ArgumentError("for whom? Give one of --user ID, --liked IDS and --liked-text TEXT, or --all-users")
    if all_users and out is None:
        raise ArgumentError("--all-users needs --out FILE, such as --out recs.parquet")
    if out is not None:
        check_format(out)
    return {"users": list(dict.fromkeys(user)) if user else None, "liked": strings or None}


def _check_pool(items: Path | None, only: str | None) -> None:
    if only not in (None, "new", "known"):
        raise ArgumentError(f"--only must be new or known, got {only!r}")
    if only == "new" and items is None:
        raise ArgumentError("--only new needs the new items: --items FILE")


def _check_search(search: str | None, all_users: bool) -> None:
    if search not in (None, "auto", "exact", "approximate"):
        raise ArgumentError(f"--search must be auto, exact or approximate, got {search!r}")
    if search is not None and not all_users:
        raise ArgumentError("--search is for --all-users; the lists of single users are always exact")


def _pool(catalogue: Items, path: Path, only: str | None, encoding: str) -> tuple[Items | None, Items | None]:
    """The candidates (None: the catalogue), and the new items among them."""
    import numpy as np

    from textrec.data.tables import read_items

    table = read_items(path, encoding=encoding)
    fresh = np.flatnonzero(catalogue.ids.rows(table.ids) < 0)
    if len(fresh) == 0:
        if only == "new":
            raise ArgumentError(f"--only new: {path} has no new item, the model knows all {len(table):,}")
        return None, None
    new = table.take(fresh)
    return (new if only == "new" else catalogue_and(catalogue, new)), new


def catalogue_and(catalogue: Items, new: Items) -> Items:
    """The catalogue and new items as one table of candidates.

    The rows of the catalogue are ids only: a model looks up what it knows by id, and reads the text of new items alone.
    """
    import numpy as np
    import polars as pl

    from textrec.dataset import Items
    from textrec.text import Documents

    blank = pl.repeat("", len(catalogue), dtype=pl.String, eager=True)
    texts = new.documents
    starts = np.concatenate([np.zeros(len(catalogue), np.int64), texts.starts])
    return Items.build(
        pl.concat([catalogue.ids.values, new.ids.values]),
        titles=pl.concat([blank, new.titles]),
        texts=pl.concat([blank, new.texts]),
        documents=Documents(texts.words, texts.ids, starts, texts.counts),
    )


def _write_everyone(
    out: Path,
    model: Any,
    wanted: dict[str, Any],
    search: str | None,
    as_json: bool,
    shared: dict[str, Any] | None,
) -> None:
    from textrec.retrieval.everyone import Everyone, recommend_everyone

    if shared is None:
        with spinner("preparing the search"):
            everyone = recommend_everyone(model, **wanted, search=search or "auto")  # type: ignore[arg-type]
    else:
        from textrec.cluster.using import recommend_blocks

        everyone = Everyone(recommend_blocks(model, **wanted, **shared), approximate=False, recall=1.0)
    facts = {"search": "approximate" if everyone.approximate else "exact", "recall": everyone.recall}
    _write(out, everyone.frames, model.data.n_users, as_json, facts)


def _write(out: Path, blocks: Any, users: int, as_json: bool, facts: dict[str, Any] | None = None) -> None:
    import polars as pl

    schema = {"user_id": pl.String, "rank": pl.Int32, "item_id": pl.String, "score": pl.Float32}
    rows = 0

    def passed() -> Any:
        nonlocal rows
        for frame in counted("ranking", blocks, users, lambda frame: frame["user_id"].n_unique()):
            rows += len(frame)
            yield frame

    write_frames(out, schema, passed())
    if as_json:
        print_json({"out": str(out), "rows": rows, **(facts or {})})
    else:
        near = facts is not None and facts["search"] == "approximate"
        how = f" (approximate: {facts['recall']:.1%} of the exact lists)" if near and facts else ""
        say(f"wrote {rows:,} recommendations to {out}{how}")
