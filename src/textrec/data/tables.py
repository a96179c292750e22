"""Likes and items from tables (CSV, TSV, JSONL, Parquet, frames) and back.

| table | columns |
|---|---|
| likes | `user_id`, `item_id`; optional `timestamp` (unix seconds or ISO date or time, UTC) and `rating` |
| items | `item_id`; `title`, `text`, `bag` (one of them at least); optional `tags` |

Ids are text: an integer becomes its decimal text, and in text files `007` stays `007`. Users stand in the order of
their first like, items in the order of their table, tags in the order of their first appearance over the items.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from textrec.data.columns import id_column, lookup, read_bags, read_tags, seconds, text_column
from textrec.data.files import Table, read_table
from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.errors import ArgumentError, DataError, Problem

__all__ = ["ITEM_COLUMNS", "LIKE_COLUMNS", "read_items", "read_tables", "write_tables"]

LIKE_COLUMNS = ("user_id", "item_id", "timestamp", "rating")
ITEM_COLUMNS = ("item_id", "title", "text", "tags", "bag")

Format = Literal["parquet", "csv", "tsv", "jsonl"]
Mask = npt.NDArray[np.bool_]


def read_items(source: Any, *, encoding: str = "utf-8") -> Items:
    """Read a table of items, such as new ones to rank.

    Args:
        source: path of a CSV, TSV, JSONL or Parquet file, or a polars, pandas or Arrow table, with the columns
            `item_id` and `title`, `text` or `bag`, and optionally `tags` (a list, or text separated by `|` or `;`).
            `bag` is a bag of words: an object `{"word": count}` (JSON text in CSV) or a list of structs
            `{word, count}`; where the column exists it is read instead of title and text.
        encoding: of text files.

    Raises:
        DataError: the table cannot be used; lists every fault found.
    """
    return _read_items(source, encoding)[0]


def read_tables(
    likes: Any,
    items: Any,
    *,
    min_rating: float | None = None,
    strict: bool = False,
    encoding: str = "utf-8",
    name: str = "",
) -> Dataset:
    """Read a likes table and an items table.

    Args:
        likes: path or table with the columns `user_id`, `item_id` and optionally `timestamp`, `rating`.
        items: path or table, see `read_items`.
        min_rating: likes rated lower are dropped; needs the column `rating`. None: every row is a like.
        strict: whether a like of an unknown item is an error (else it is dropped, with a warning).
        encoding: of text files.
        name: the name of the data set.

    Returns:
        The data set; a repeated like counts once, with its latest timestamp. Warnings stand in `problems`.

    Raises:
        ArgumentError: `min_rating` is not a finite number.
        DataError: a table cannot be used; lists the faults of both.
    """
    if min_rating is not None and not math.isfinite(min_rating):
        raise ArgumentError(f"min_rating must be a finite number, got {min_rating}")
    problems: list[Problem] = []
    known: Items | None = None
    try:
        known, problems = _read_items(items, encoding)
    except DataError as error:
        problems = error.problems
    try:
        table = read_table(likes, LIKE_COLUMNS, name="likes", encoding=encoding)
        return _with_likes(known, table, min_rating, strict, name, problems)
    except DataError as error:
        faults = problems if known is None else []
        raise DataError([*faults, *(fault for fault in error.problems if fault not in faults)]) from error


def _read_items(source: Any, encoding: str) -> tuple[Items, list[Problem]]:
    table = read_table(source, ITEM_COLUMNS, name="items", encoding=encoding)
    there = table.frame.columns
    problems = table.require(["item_id"])
    if not {"title", "text", "bag"} & set(there):
        listed = ", ".join(map(repr, there)) or "none"
        hint = "an items table needs one of the columns 'title', 'text' and 'bag'"
        problems.append(Problem(f"{hint} (columns found: {listed})", table.path))
    if problems:
        raise DataError(problems)
    ids, problems = id_column(table, "item_id")
    repeated = ~ids.is_first_distinct() & (ids.str.strip_chars() != "")
    problems += table.errors(
        repeated, lambda row: f"item id {ids[row]!r} stands in an earlier row; item ids must be distinct"
    )
    titles, texts = text_column(table, "title", problems), text_column(table, "text", problems)
    documents = read_bags(table, problems)
    tags, tag_names = read_tags(table, problems)
    if len(ids) == 0:
        problems.append(Problem("the items table has no rows; it needs at least one", table.path))
    if problems:
        raise DataError(problems)
    items = Items.build(ids, titles=titles, texts=texts, documents=documents, tags=tags, tag_names=tag_names)
    return items, table.warning(items.documents.lengths == 0, "the item has no text; only its likes can place it")


def _with_likes(
    items: Items | None, table: Table, min_rating: float | None, strict: bool, name: str, problems: list[Problem]
) -> Dataset:
    faults = table.require(["user_id", "item_id"])
    if min_rating is not None:
        faults += table.require(["rating"])
    if faults:
        raise DataError(faults)
    users, faults = id_column(table, "user_id")
    item_ids, more = id_column(table, "item_id")
    faults += more
    times = _timestamps(table, faults)
    kept = _rated(table, min_rating, faults)
    if len(users) == 0:
        faults.append(Problem("the likes table has no rows; it needs at least one", table.path))
    if items is None:
        raise DataError([*problems, *faults])
    item_rows = lookup(item_ids, items.ids.values)
    unknown = kept & (item_rows < 0) & (item_ids.str.strip_chars() != "").to_numpy()

    def missing(row: int) -> str:
        return f"like of item {item_ids[row]!r}, which the items table does not have; add the item or drop the like"

    if strict:
        faults += table.errors(unknown, missing)
    kept &= item_rows >= 0
    if not faults and not kept.any():
        reason = "no like names an item of the items table" if unknown.any() else "min_rating drops every like"
        faults.append(Problem(f"no likes are left: {reason}; check the ids and the ratings", table.path))
    if faults:
        raise DataError(faults)
    warnings = problems + table.warning(unknown, missing)
    return _dataset(items, table, users, item_rows, kept, times, name, warnings)


def _dataset(
    items: Items,
    table: Table,
    users: pl.Series,
    item_rows: npt.NDArray[np.int64],
    kept: Mask,
    times: npt.NDArray[np.int64] | None,
    name: str,
    warnings: list[Problem],
) -> Dataset:
    user_ids = users.filter(pl.Series(kept)).unique(maintain_order=True)
    rows = np.flatnonzero(kept)
    user_rows = lookup(users, user_ids)[rows]
    pairs = user_rows * len(items) + item_rows[rows]
    order = np.argsort(pairs, kind="stable")  # equal pairs stay in the order of the table
    first = np.append(True, np.diff(pairs[order]) != 0)
    surplus = np.zeros(len(kept), bool)
    surplus[rows[order[~first]]] = True
    warnings = warnings + table.warning(
        surplus, lambda row: f"user {users[row]!r} likes item {items.ids[int(item_rows[row])]!r} twice; merged"
    )
    once = order[first]
    likes = binary_csr(user_rows[once], item_rows[rows[once]], (len(user_ids), len(items)))
    latest = None
    if times is not None:
        newest = np.maximum.reduceat(times[rows[order]], np.flatnonzero(first))
        latest = sp.csr_array((newest, likes.indices, likes.indptr), shape=likes.shape)
    return Dataset(Ids(user_ids), items, likes, latest, name, tuple(warnings))


def _timestamps(table: Table, faults: list[Problem]) -> npt.NDArray[np.int64] | None:
    if "timestamp" not in table.frame.columns:
        return None
    raw = table.frame["timestamp"]
    times = seconds(raw)
    faults += table.errors(
        times.is_null(),
        lambda row: (
            f"timestamp {raw[row]!r} is neither unix seconds nor an ISO date or time such as 2024-05-01T12:00:00Z; "
            "correct it, or divide milliseconds by 1000"
        ),
    )
    return times.fill_null(0).to_numpy()


def _rated(table: Table, min_rating: float | None, faults: list[Problem]) -> Mask:
    if "rating" not in table.frame.columns:
        return np.ones(len(table.frame), bool)
    raw = table.frame["rating"]
    ratings = raw.cast(pl.Float64, strict=False).fill_nan(None)
    faults += table.errors(
        ratings.is_null(), lambda row: f"rating {raw[row]!r} is not a number; correct it or drop the row"
    )
    if min_rating is None:
        return np.ones(len(raw), bool)
    return np.array((ratings >= min_rating).fill_null(False).to_numpy())


def write_tables(dataset: Dataset, folder: str | Path, format: Format = "parquet") -> None:
    """Write `likes.*` and `items.*` so that reading the folder gives the data set back.

    Users without likes and tags without items are not written, and tags come back in the order of their first
    appearance over the items; everything else is kept, in order.

    Args:
        dataset: what to write.
        folder: made when it does not exist.
        format: "parquet", "csv", "tsv" or "jsonl".

    Raises:
        ArgumentError: the format is unknown, or a tag holds a separator (`|`, `;`, spaces around) in CSV or TSV.
    """
    if format not in ("parquet", "csv", "tsv", "jsonl"):
        raise ArgumentError(f"format must be 'parquet', 'csv', 'tsv' or 'jsonl', got {format!r}")
    flat = format in ("csv", "tsv")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for stem, frame in (("likes", _like_frame(dataset)), ("items", _item_frame(dataset.items, flat))):
        path = target / f"{stem}.{format}"
        if format == "parquet":
            frame.write_parquet(path)
        elif format == "jsonl":
            frame.write_ndjson(path)
        else:
            frame.write_csv(path, separator="\t" if format == "tsv" else ",", quote_style="non_numeric")


def _like_frame(dataset: Dataset) -> pl.DataFrame:
    users = np.repeat(np.arange(dataset.n_users), dataset.likes_per_user())
    columns = [
        dataset.users.names(users).alias("user_id"),
        dataset.items.ids.names(dataset.likes.indices).alias("item_id"),
    ]
    if dataset.timestamps is not None:
        columns.append(pl.Series("timestamp", dataset.timestamps.data, dtype=pl.Int64))
    return pl.DataFrame(columns)


def _item_frame(items: Items, flat: bool) -> pl.DataFrame:
    frame = pl.DataFrame([items.ids.values.alias("item_id"), items.titles.alias("title"), items.texts.alias("text")])
    if items.tags.nnz:
        names = items.tag_names.names(items.tags.indices)
        frame = frame.with_columns(_lists("tags", names, items.tags.indptr))
        if flat:
            _check_flat(names)
            frame = frame.with_columns(pl.col("tags").list.join("|"))
    documents = items.documents
    if documents.counts is not None:
        words = pl.Series("word", documents.words, dtype=pl.String).gather(documents.ids)
        counts = pl.Series("count", documents.counts).cast(pl.Int64)
        bags = _lists("bag", pl.DataFrame([words, counts]).to_struct("bag"), documents.starts)
        if flat:
            text = [json.dumps({pair["word"]: pair["count"] for pair in bag}) for bag in bags.to_list()]
            bags = pl.Series("bag", text, dtype=pl.String)
        frame = frame.with_columns(bags)
    return frame


def _lists(name: str, values: pl.Series, starts: npt.NDArray[Any]) -> pl.Series:
    """Values [N] cut into rows [n], empty ones as empty lists."""
    row = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    grouped = pl.DataFrame({"row": row, name: values}).group_by("row", maintain_order=True).agg(name)
    every = pl.DataFrame({"row": np.arange(len(starts) - 1)})
    joined = every.join(grouped, on="row", how="left", maintain_order="left")[name]
    return joined.fill_null(pl.Series([[]], dtype=joined.dtype))


def _check_flat(names: pl.Series) -> None:
    unfit = names.filter(names.str.contains(r"[|;]|^\s|\s$"))
    if len(unfit):
        raise ArgumentError(
            f"tag {unfit[0]!r} holds a tag separator, which CSV and TSV cannot keep; write parquet or jsonl"
        )
