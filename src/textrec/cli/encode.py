"""`textrec encode`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textrec.cli.options import Cluster, Device, Encoding, ModelFolder, Threads, Workers
from textrec.cli.output import check_format, say, write_frames
from textrec.cli.progress import counted
from textrec.cli.running import load_model, shared_by, warn

if TYPE_CHECKING:
    import polars as pl

    from textrec.dataset import Items
    from textrec.learn.recommender import Recommender

__all__ = ["encode"]

BLOCK_BYTES = 1 << 26
"""A block of vectors takes about this much memory, whatever the number of items."""


def encode(
    model: ModelFolder,
    items: Annotated[
        Path, typer.Argument(metavar="ITEMS", show_default=False, help="An items table: CSV, TSV, JSONL or Parquet.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A .parquet or .jsonl file.")],
    encoding: Encoding = "utf-8",
    threads: Threads = None,
    device: Device = "auto",
    cluster: Cluster = None,
    workers: Workers = None,
) -> None:
    """Turn texts into vectors: a table of item_id and vector."""
    check_format(out, (".parquet", ".jsonl"))
    shared = shared_by(cluster, workers, threads)
    recommender = load_model(model, device=device, threads=threads)
    from textrec.data.tables import read_items

    table = read_items(items, encoding=encoding)
    if empty := int((table.documents.lengths == 0).sum()):
        warn(f"{empty:,} of {len(table):,} items have an empty text")
    dim = _quietly(recommender, table, 0, 1).shape[1]
    import polars as pl

    schema = {"item_id": pl.String, "vector": pl.Array(pl.Float32, dim)}
    if shared is None:
        frames = _frames(recommender, table, dim, schema)
    else:
        from textrec.cluster.using import encode_blocks

        frames = encode_blocks(recommender, table, **shared)
    write_frames(out, schema, counted("encoding", frames, len(table), len))
    say(f"wrote {len(table):,} vectors of {dim:,} numbers to {out}")


def _frames(model: Recommender, items: Items, dim: int, schema: dict[str, Any]) -> Iterator[pl.DataFrame]:
    import polars as pl

    step = max(1, BLOCK_BYTES // (4 * max(dim, 1)))
    for start in range(0, len(items), step):
        vectors = _quietly(model, items, start, start + step)
        yield pl.DataFrame({"item_id": items.ids.values[start : start + step], "vector": vectors}, schema=schema)


def _quietly(model: Recommender, items: Items, start: int, stop: int) -> Any:
    """Vectors of some rows; the empty texts have been counted once, over all rows."""
    import numpy as np

    from textrec.errors import TextrecWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TextrecWarning)
        return model.encode(items.take(np.arange(start, min(stop, len(items)))))
