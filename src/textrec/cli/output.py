"""What commands write: tables for people, JSON for machines, files that appear whole or not at all."""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textrec.errors import ArgumentError

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

__all__ = [
    "FRAME_FORMATS",
    "check_format",
    "console",
    "json_text",
    "number",
    "print_json",
    "print_table",
    "say",
    "staged",
    "write_frames",
    "write_json",
]

FRAME_FORMATS = (".parquet", ".csv", ".tsv", ".jsonl")
PLAIN_WIDTH = 100
"""Columns of a table that goes to a file or a pipe."""

GAP = 3
"""Blanks between two columns."""


def console() -> Console:
    """The standard output, for people."""
    from rich.console import Console

    plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=PLAIN_WIDTH if plain else None, highlight=False, emoji=False)


def say(text: str = "") -> None:
    """A line for people, as it is."""
    console().print(text, markup=False, soft_wrap=True)


def number(value: Any) -> str:
    """A figure as people read it: 1,234 or 0.3771; a dash for what is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4f}"
    return str(value)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    text: Sequence[str] = (),
    right: Sequence[str] = (),
) -> None:
    """A table on the standard output.

    Args:
        title: above it.
        columns: headings.
        rows: cells; figures stand right, everything else left.
        text: the columns that are cut with an ellipsis where there is no room.
        right: the columns that stand right though their cells are text.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    given = [list(row) for row in rows]
    cells = [[number(cell) for cell in row] for row in given]
    screen = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    widths = [max(map(len, [heading, *column])) for heading, *column in zip(columns, *cells, strict=True)]
    taken = sum(width + GAP for width, heading in zip(widths, columns, strict=True) if heading not in text)
    for place, heading in enumerate(columns):
        figures = heading in right or any(isinstance(row[place], int | float) for row in given)
        width = max(screen.width - taken, len(heading)) if heading in text else None
        table.add_column(
            heading, justify="right" if figures else "left", no_wrap=True, overflow="ellipsis", max_width=width
        )
    for row in cells:
        table.add_row(*map(Text, row))
    with screen.capture() as captured:
        screen.print(Text(title, style="bold"))
        screen.print(table)
        screen.print()
    # rich fills lines with blanks, which have no place in a file
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().split("\n")))
    sys.stdout.flush()


def json_text(content: Any) -> str:
    """JSON by the standard: NaN and infinities, which it does not have, become null."""
    return json.dumps(_finite(content), ensure_ascii=False, indent=2) + "\n"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def print_json(content: Any) -> None:
    """JSON on the standard output."""
    sys.stdout.write(json_text(content))
    sys.stdout.flush()


def write_json(path: Path, content: Any) -> None:
    """JSON to a file, or to the standard output when it is called `-`."""
    if str(path) == "-":
        print_json(content)
        return
    with staged(path) as place:
        place.write_text(json_text(content), encoding="utf-8")


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; it takes the name `path` once the block has ended without an error."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.absolute().parent)
    os.close(descriptor)
    place = Path(name)
    try:
        yield place
        place.chmod(0o666 & ~_umask())  # temporary files are private, results are not
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_format(path: Path, allowed: Sequence[str] = FRAME_FORMATS) -> None:
    """Refuse a file name whose suffix is not one of `allowed`, or whose folder is missing.

    Raises:
        ArgumentError: names both.
    """
    if path.suffix not in allowed:
        raise ArgumentError(f"--out must end in {', '.join(allowed)}, got {str(path)!r}")
    if not path.absolute().parent.is_dir():
        raise ArgumentError(f"--out: there is no folder {str(path.absolute().parent)!r}; make it first")


def write_frames(path: Path, schema: dict[str, Any], frames: Iterator[pl.DataFrame]) -> None:
    """Write a stream of frames to one file: memory does not grow with their number.

    Args:
        path: ends in one of `FRAME_FORMATS`.
        schema: column → polars type.
        frames: all of this schema.
    """
    with staged(path) as place:
        if path.suffix == ".parquet":
            _sink_parquet(place, schema, frames)
            return
        writers: dict[str, Callable[..., Any]] = {
            ".csv": lambda frame, file, first: frame.write_csv(file, include_header=first),
            ".tsv": lambda frame, file, first: frame.write_csv(file, include_header=first, separator="\t"),
            ".jsonl": lambda frame, file, first: frame.write_ndjson(file),
        }
        with place.open("wb") as file:
            for count, frame in enumerate(frames):
                writers[path.suffix](frame, file, count == 0)


def _sink_parquet(place: Path, schema: dict[str, Any], frames: Iterator[pl.DataFrame]) -> None:
    import polars as pl
    from polars.io.plugins import register_io_source

    # The first frame is made before polars starts: its writer opens the file from a thread of its own, and after an
    # early error that would come later than the clean-up and leave an empty file behind.
    frames = itertools.chain(list(itertools.islice(frames, 1)), frames)
    failures: list[Exception] = []

    def source(columns: Any, predicate: Any, n_rows: Any, batch_size: Any) -> Iterator[pl.DataFrame]:
        try:
            yield from frames
        except Exception as error:
            failures.append(error)  # polars makes an error of its own of it
            raise

    try:
        register_io_source(source, schema=schema).sink_parquet(place)
    except pl.exceptions.PolarsError:
        if failures:
            raise failures[0] from None
        raise
