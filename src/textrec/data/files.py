"""Files to frames: CSV, TSV, JSONL and Parquet, every cell as text where the format has no types, with line numbers.

Parsing is done by polars; only a file that it cannot read, or that breaks the quoting rules, is gone through line by
line to name the place.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from textrec.errors import SHOWN_PROBLEMS, ArgumentError, DataError, Problem

__all__ = ["SUFFIXES", "Table", "decode", "read_bytes", "read_table", "suffix_of"]

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""File formats, recognised by suffix; all but Parquet also with `.gz`."""

_NESTED = ("tags", "bag")  # JSONL columns that may hold a list or an object


@dataclass(frozen=True, eq=False)
class Table:
    """A frame and where its rows come from."""

    frame: pl.DataFrame
    path: str  # the file, or the argument's name for a frame
    lines: Callable[[], npt.NDArray[np.int64]] | None = None  # 1-based line of each row; None: the format has none
    json_cells: bool = False  # whether cells that hold a list or an object are JSON text

    def errors(self, bad: npt.NDArray[Any] | pl.Series, message: str | Callable[[int], str]) -> list[Problem]:
        """One problem for each bad row [n, bool]; after the first ones the rest is counted in one."""
        rows = np.flatnonzero(np.asarray(bad, bool))
        shown = [self._problem(row, message) for row in rows[:SHOWN_PROBLEMS].tolist()]
        return shown + self._counted(rows[SHOWN_PROBLEMS:], message, "error")

    def warning(self, bad: npt.NDArray[Any] | pl.Series, message: str | Callable[[int], str]) -> list[Problem]:
        """One warning that counts the bad rows [n, bool] and names the first; none when there are none."""
        return self._counted(np.flatnonzero(np.asarray(bad, bool)), message, "warning")

    def require(self, columns: Iterable[str]) -> list[Problem]:
        """A problem for each column that is missing, with the nearest name there is."""
        return [self._missing(column) for column in columns if column not in self.frame.columns]

    def _missing(self, column: str) -> Problem:
        there = self.frame.columns
        lowered = {name.lower(): name for name in there}
        near = difflib.get_close_matches(column, lowered, n=1)
        hint = f"rename {lowered[near[0]]!r} to {column!r}" if near else f"add a column {column!r}"
        listed = ", ".join(map(repr, there)) or "none"
        return Problem(f"no column {column!r}; {hint} (columns found: {listed})", self.path)

    def _counted(self, rows: npt.NDArray[Any], message: str | Callable[[int], str], severity: Any) -> list[Problem]:
        return [self._problem(int(rows[0]), message, severity, len(rows))] if len(rows) else []

    def _problem(
        self, row: int, message: str | Callable[[int], str], severity: Any = "error", count: int = 1
    ) -> Problem:
        said = message if isinstance(message, str) else message(row)
        if self.lines is None:
            return Problem(f"row {row + 1}: {said}", self.path, severity=severity, count=count)
        return Problem(said, self.path, int(self.lines()[row]), severity, count)


def suffix_of(path: Path) -> str:
    """The format suffix of a path, without `.gz`; "" where it is not one of `SUFFIXES`."""
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    return suffix if suffix in SUFFIXES and not (suffix == ".parquet" and name.endswith(".gz")) else ""


def read_table(source: Any, wanted: Sequence[str], *, name: str, encoding: str = "utf-8") -> Table:
    """Read a file or a frame.

    Args:
        source: a path, or a polars, pandas or Arrow table.
        wanted: the columns that may be used; others are not kept.
        name: what the argument is called in messages about a frame.
        encoding: of text files; a byte order mark is accepted.

    Raises:
        DataError: the file is missing, has an unknown suffix, bad bytes, or is malformed.
        ArgumentError: the source is neither a path nor a table.
    """
    if not isinstance(source, str | Path):
        return Table(_to_frame(source, name), name)
    path, suffix = Path(source), suffix_of(Path(source))
    if not suffix:
        allowed = ", ".join(SUFFIXES)
        raise DataError(Problem(f"unknown file format; use one of {allowed} (text formats also .gz)", str(path)))
    if suffix == ".parquet":
        return _read_parquet(path, wanted)
    data = decode(read_bytes(path), str(path), encoding)
    if suffix in (".csv", ".tsv"):
        return _read_csv(data, str(path), "," if suffix == ".csv" else "\t")
    return _read_jsonl(data, str(path), wanted)


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked when it is named `.gz`.

    Raises:
        DataError: the file is missing, unreadable, or not a whole gzip file.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(Problem("file not found; check the path", str(path))) from None
    except OSError as error:
        raise DataError(Problem(f"cannot read the file: {error.strerror}", str(path))) from error
    if path.suffix != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(Problem(f"not a whole gzip file ({error}); compress it again", str(path))) from error


def decode(data: bytes, path: str, encoding: str) -> bytes:
    """The text as UTF-8 without a byte order mark.

    Raises:
        DataError: the encoding is unknown, or a byte does not belong to it (names line and byte).
    """
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        raise DataError(f"unknown encoding {encoding!r}; use one such as utf-8, latin-1 or cp1252") from None
    if codec in ("utf-8", "utf-8-sig"):
        data = data.removeprefix(codecs.BOM_UTF8)
        if data.isascii():
            return data
    try:
        text = data.decode(codec)
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        byte = f"byte 0x{data[start]:02x} at offset {start}" if start < len(data) else "the end of the file"
        fault = f"{byte} is not valid {encoding}; save the file as UTF-8 or pass --encoding latin-1"
        raise DataError(Problem(fault, path, data.count(b"\n", 0, start) + 1)) from None
    return data if codec in ("utf-8", "utf-8-sig") else text.removeprefix("\ufeff").encode()


def _to_frame(source: Any, name: str) -> pl.DataFrame:
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    try:
        return pl.DataFrame(source)
    except (TypeError, ValueError, ImportError, pl.exceptions.PolarsError) as error:
        kind = type(source).__name__
        raise ArgumentError(
            f"{name} must be a path or a polars, pandas or Arrow table, got {kind}: {_first(error)}"
        ) from error


def _read_parquet(path: Path, wanted: Sequence[str]) -> Table:
    try:
        frame = pl.scan_parquet(path, glob=False)
        there = frame.collect_schema().names()
        kept = [name for name in there if name in wanted]
        return Table(frame.select(kept or there).collect(), str(path))
    except FileNotFoundError:
        raise DataError(Problem("file not found; check the path", str(path))) from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(Problem(f"not a readable Parquet file ({_first(error)}); write it again", str(path))) from error


def _read_csv(data: bytes, path: str, separator: str) -> Table:
    if not data.strip():
        raise DataError(Problem("the file is empty; its first line must name the columns", path))
    frame = None
    if _well_quoted(data, ord(separator)):
        try:
            frame = pl.read_csv(data, separator=separator, infer_schema=False)
        except pl.exceptions.PolarsError:
            frame = None  # the slow reader below reads it or names the lines
    if frame is None:
        return _read_csv_slowly(data, path, separator)
    kept = ~frame.select(pl.all_horizontal(pl.all().is_null())).to_series()  # blank lines

    def lines() -> npt.NDArray[np.int64]:
        breaks = pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True).fill_null(0))
        inside = frame.select(breaks.cast(pl.Int64)).to_series().to_numpy()
        first = 2 + sum(name.count("\n") for name in frame.columns)
        starts = first + np.arange(len(inside)) + np.cumsum(inside) - inside
        return np.asarray(starts[kept.to_numpy()], np.int64)

    return Table(frame.filter(kept), path, lines)


def _well_quoted(data: bytes, separator: int) -> bool:
    """Whether every quote opens a cell, closes one, or is doubled inside one (RFC 4180)."""
    text = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    if len(quotes) == 0:
        return True
    before = np.where(quotes[0::2] > 0, text[quotes[0::2] - 1], ord("\n"))
    after = np.where(quotes[1::2] + 1 < len(text), text[np.minimum(quotes[1::2] + 1, len(text) - 1)], ord("\n"))
    edges = [separator, ord("\n"), ord('"')]
    return len(quotes) % 2 == 0 and bool(np.isin(before, edges).all() and np.isin(after, [*edges, ord("\r")]).all())


def _read_csv_slowly(data: bytes, path: str, separator: str) -> Table:
    reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    starts: list[int] = []
    faults: list[Problem] = []
    line = 1
    try:
        header = next(reader)
        line = reader.line_num + 1
        for row in reader:
            if len(row) > len(header):
                more = f"{len(row)} cells where the header has {len(header)}; quote cells that hold {separator!r}"
                faults.append(Problem(more, path, line))
            elif row:
                rows.append(row + [""] * (len(header) - len(row)))
                starts.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        fault = f"malformed row that starts here ({error}); close the quotes and double those inside a cell"
        faults.append(Problem(fault, path, line))
    if faults:
        raise DataError(faults)
    if len(set(header)) != len(header):
        raise DataError(Problem("two columns have the same name; rename one", path, 1))
    schema = dict.fromkeys(header, pl.String)
    return Table(pl.DataFrame(rows, schema=schema, orient="row"), path, lambda: np.array(starts, np.int64))


def _read_jsonl(data: bytes, path: str, wanted: Sequence[str]) -> Table:
    try:
        frame = pl.read_ndjson(data, schema=dict.fromkeys(wanted, pl.String))
    except pl.exceptions.PolarsError as error:
        raise DataError(_json_faults(data, path, _first(error))) from error
    texts = pl.Series("line", data.decode().split("\n"), dtype=pl.String)
    filled = texts.str.strip_chars() != ""
    keys = {key for text in islice(texts.filter(filled), 100) for key in json.loads(text)}
    # polars does not escape what it turns from JSON into text, so nested cells are taken from the lines
    nested = [pl.col("line").str.json_path_match(f"$.{name}").alias(name) for name in _NESTED if name in wanted]
    if nested and texts.len() > 0:
        frame = frame.with_columns(texts.filter(filled).to_frame().select(nested))
    kept = [name for name in wanted if name in keys or frame[name].null_count() < len(frame)]
    others = [pl.lit(None, pl.String).alias(key) for key in sorted(keys - set(wanted))] if not kept else []
    return Table(frame.select(*kept, *others), path, lambda: np.flatnonzero(filled.to_numpy()) + 1, True)


def _json_faults(data: bytes, path: str, otherwise: str) -> list[Problem]:
    faults = []
    for line, text in enumerate(data.split(b"\n"), start=1):
        try:
            row = json.loads(text) if text.strip() else {}
        except ValueError as error:
            faults.append(Problem(f"not JSON ({error}); write one JSON object a line", path, line))
        else:
            if not isinstance(row, dict):
                found = type(row).__name__
                faults.append(Problem(f"a JSON object is expected, found {found}; write one object a line", path, line))
    return faults or [Problem(f"not JSON lines ({otherwise}); write one JSON object a line", path)]


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
