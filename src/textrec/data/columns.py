"""The cells of a table: ids, texts, times, tags and bags of words, checked as whole columns.

Shapes: `n` rows of the table, `G` tags, `N` words of all bags.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from textrec.data.files import Table
from textrec.dataset import Csr, Rows, binary_csr
from textrec.errors import Problem
from textrec.text import Documents

__all__ = ["id_column", "lookup", "read_bags", "read_tags", "seconds", "text_column"]

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999; larger numbers are milliseconds by mistake."""

_TIMES = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")  # with an offset
_LOCAL_TIMES = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")  # UTC


def id_column(table: Table, column: str) -> tuple[pl.Series, list[Problem]]:
    """Ids as text [n], and a problem for each empty one."""
    raw = table.frame[column]
    if raw.dtype.is_float() and bool((raw.fill_nan(None).drop_nulls() % 1 == 0).all()):
        raw = raw.fill_nan(None).cast(pl.Int64)  # pandas turns whole numbers with gaps into floats
    if raw.dtype.is_float() or raw.dtype.is_nested() or raw.dtype in (pl.Boolean, pl.Binary):
        fault = f"column {column!r} has the type {raw.dtype}; ids must be text or whole numbers"
        return pl.repeat("", len(raw), dtype=pl.String, eager=True), [Problem(fault, table.path)]
    ids = raw.cast(pl.String).fill_null("")
    return ids, table.errors(ids.str.strip_chars() == "", f"empty {column}; fill it in or drop the row")


def text_column(table: Table, column: str, problems: list[Problem]) -> pl.Series | None:
    """A column of texts [n], "" where there is none; None when the table lacks it."""
    if column not in table.frame.columns:
        return None
    raw = table.frame[column]
    if raw.dtype.is_nested() or raw.dtype == pl.Binary:
        problems.append(Problem(f"column {column!r} has the type {raw.dtype}; it must be text", table.path))
        return None
    return raw.cast(pl.String).fill_null("")


def lookup(values: pl.Series, ids: pl.Series) -> Rows:
    """The row of each value in `ids`, −1 where it is not there."""
    known = ids.alias("id").to_frame().with_row_index("row")
    found = values.alias("id").to_frame().join(known, on="id", how="left", maintain_order="left")
    return found["row"].cast(pl.Int64).fill_null(-1).to_numpy()


def seconds(values: pl.Series) -> pl.Series:
    """Unix seconds [n] from numbers, ISO texts or dates (UTC without an offset); null where they are none."""
    if values.dtype in (pl.Date, pl.Datetime):
        return values.dt.epoch("s")
    if values.dtype != pl.String:
        number = values.cast(pl.Float64, strict=False) if not values.dtype.is_integer() else values
        times = number.floor().cast(pl.Int64, strict=False)
    else:
        times = _parsed(values.str.strip_chars())
    return times.to_frame("t").select(pl.when(pl.col("t").is_between(FIRST_SECOND, LAST_SECOND)).then("t")).to_series()


def _parsed(text: pl.Series) -> pl.Series:
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == 0:
        return whole
    iso = text.str.replace("[Tt]", " ").str.replace("[Zz]$", "+00:00").alias("iso").to_frame()
    column = pl.col("iso").str
    zoned = [column.to_datetime(form, strict=False, time_unit="us", time_zone="UTC") for form in _TIMES]
    plain = [column.strptime(pl.Datetime("us"), form, strict=False) for form in _LOCAL_TIMES]
    number = text.cast(pl.Float64, strict=False).floor().cast(pl.Int64, strict=False)
    return iso.select(pl.coalesce(whole, number, *(time.dt.epoch("s") for time in zoned + plain))).to_series()


def read_tags(table: Table, problems: list[Problem]) -> tuple[Csr, pl.Series]:
    """Tags as CSR [n, G] and their names, in the order of their first appearance."""
    n = len(table.frame)
    blank = pl.Series("tag", [], dtype=pl.String)
    if "tags" not in table.frame.columns or table.frame["tags"].dtype == pl.Null:
        return binary_csr([], [], (n, 0)), blank
    raw = table.frame["tags"]
    if raw.dtype != pl.String and not isinstance(raw.dtype, pl.List):
        fault = f"column 'tags' has the type {raw.dtype}; it must be a list of texts or text separated by | or ;"
        problems.append(Problem(fault, table.path))
        return binary_csr([], [], (n, 0)), blank
    lists = _tag_texts(table, raw, problems) if raw.dtype == pl.String else raw.cast(pl.List(pl.String), strict=False)
    flat = pl.DataFrame({"row": np.arange(n), "tag": lists}).explode("tag").filter(pl.col("tag") != "")
    names = flat["tag"].unique(maintain_order=True)
    return binary_csr(flat["row"].to_numpy(), lookup(flat["tag"], names), (n, len(names))), names


def _tag_texts(table: Table, raw: pl.Series, problems: list[Problem]) -> pl.Series:
    listed = raw.str.starts_with("[").fill_null(False) & table.json_cells
    split = raw.zip_with(~listed, pl.Series([None], dtype=pl.String)).str.replace_all("|", ";", literal=True)
    parts = split.str.split(";").list.eval(pl.element().str.strip_chars())
    if not listed.any():
        return parts
    try:
        decoded = raw.zip_with(listed, pl.Series([None], dtype=pl.String)).str.json_decode(pl.List(pl.String))
    except pl.exceptions.PolarsError:
        problems.append(Problem('a cell of \'tags\' is not a list of texts; write tags as ["a", "b"]', table.path))
        return parts
    return decoded.zip_with(listed, parts)


def read_bags(table: Table, problems: list[Problem]) -> Documents | None:
    """Documents from the column `bag`; None when the table lacks it or it is empty throughout."""
    if "bag" not in table.frame.columns or table.frame["bag"].is_null().all():
        return None
    raw = table.frame["bag"]
    if isinstance(raw.dtype, pl.Struct):
        raw = raw.struct.json_encode()
    if raw.dtype == pl.String:
        entries, bad = _json_bags(raw)
    elif isinstance(raw.dtype, pl.List) and isinstance(raw.dtype.inner, pl.Struct):
        fields = {field.name for field in raw.dtype.inner.fields}
        if not {"word", "count"} <= fields:
            fault = f"column 'bag' holds structs with {sorted(fields)}; each needs the fields 'word' and 'count'"
            problems.append(Problem(fault, table.path))
            return None
        rows = pl.DataFrame({"row": np.arange(len(raw)), "bag": raw}).explode("bag").drop_nulls("bag").unnest("bag")
        entries = rows.select("row", pl.col("word").cast(pl.String), pl.col("count").cast(pl.Float64, strict=False))
        bad = np.zeros(len(raw), bool)
    else:
        fault = f"column 'bag' has the type {raw.dtype}; it must be an object of word counts or a list of structs"
        problems.append(Problem(fault, table.path))
        return None
    merged = entries.group_by("row", "word", maintain_order=True).agg(
        pl.col("count").sum(), none=pl.col("count").is_null().any()
    )
    wrong = merged.filter(
        pl.col("none") | pl.col("word").is_null() | (pl.col("count") < 1) | (pl.col("count") % 1 != 0)
    )
    bad[wrong["row"].to_numpy()] = True
    faults = table.errors(bad, 'not a bag of words; write {"word": count} with whole counts of at least 1')
    problems += faults
    return None if faults else _documents(merged, len(raw))


def _documents(entries: pl.DataFrame, n: int) -> Documents:
    words = entries["word"].unique(maintain_order=True)
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(entries["row"].to_numpy(), minlength=n), out=starts[1:])
    ids = lookup(entries["word"], words).astype(np.int32)
    return Documents(words.to_list(), ids, starts, entries["count"].to_numpy().astype(np.float32))


def _json_bags(raw: pl.Series) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    """Entries (row, word, count) of JSON cells, and which cells are no bags [n]."""
    words: list[str] = []
    counts: list[Any] = []
    sizes = np.zeros(len(raw), np.int64)
    bad = np.zeros(len(raw), bool)
    for row, cell in enumerate(raw.to_list()):
        try:
            bag = json.loads(cell) if cell else {}
            if isinstance(bag, list):
                bag = {pair["word"]: pair["count"] for pair in bag}
            kept = {word: count for word, count in bag.items() if count is not None}
        except (ValueError, KeyError, TypeError, AttributeError):
            bad[row] = True
            continue
        sizes[row] = len(kept)
        words.extend(kept)
        counts.extend(kept.values())
    columns = [
        pl.Series("row", np.repeat(np.arange(len(raw)), sizes)),
        pl.Series("word", words, dtype=pl.String),
        pl.Series("count", [count if isinstance(count, int | float) else None for count in counts], dtype=pl.Float64),
    ]
    return pl.DataFrame(columns), bad
