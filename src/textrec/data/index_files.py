"""`.dat` files of integers: line j holds a count, then as many row numbers (or `row:count` pairs), 0-based.

A file is parsed as one array and checked as one; only a faulty file is gone through line by line to name each fault.

Shapes: `n` lines, `N` entries of all lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from textrec.data.files import read_bytes
from textrec.errors import DataError, Problem

__all__ = ["IndexFile", "read_index_file", "read_lines"]

_PLAIN = re.compile(rb"\d+")
_PAIR = re.compile(rb"\d+:\d+")


@dataclass(frozen=True, eq=False)
class IndexFile:
    """The lines of a `.dat` file."""

    path: str
    starts: npt.NDArray[np.int64]  # [n + 1]
    indices: npt.NDArray[np.int64]  # [N]
    counts: npt.NDArray[np.int64] | None = None  # [N], of `row:count` pairs

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """The 0-based line of each entry [N]."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def range_problems(self, size: int, what: str) -> list[Problem]:
        """A problem for each index that is not a row of `what`, which has `size` rows."""
        return [
            Problem(
                f"index {self.indices[at]} is out of range; {what} has the rows 0 to {size - 1}",
                self.path,
                int(self.rows[at]) + 1,
            )
            for at in np.flatnonzero(self.indices >= size).tolist()
        ]


def read_index_file(path: Path, *, pairs: bool = False) -> IndexFile:
    """Read a file of counts and indices; an empty line is an empty row, and the last line may lack its end.

    Args:
        path: the file.
        pairs: whether the entries are `row:count`.

    Raises:
        DataError: the file is missing, holds something else than whole numbers, or a count disagrees with its line.
    """
    data = read_bytes(path)
    parsed = _parse(data, str(path), pairs)
    if parsed is None:
        raise DataError(_faults(data, str(path), pairs))
    return parsed


def read_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, or in Latin-1 when it is not UTF-8.

    Raises:
        DataError: the file is missing.
    """
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _parse(data: bytes, path: str, pairs: bool) -> IndexFile | None:
    """The file as arrays; None when something is wrong with it."""
    text = np.frombuffer(data, np.uint8)
    digit = (text >= ord("0")) & (text <= ord("9"))
    colon = text == ord(":")
    allowed = digit | np.isin(text, list(b" \t\r\n")) | (colon if pairs else False)
    if not allowed.all():
        return None
    line_ends = np.flatnonzero(text == ord("\n"))
    n = len(line_ends) + (len(data) > 0 and data[-1:] != b"\n")
    first_digits = np.flatnonzero(digit & ~np.append(False, digit[:-1]))
    lines = np.searchsorted(line_ends, first_digits)
    numbers = np.bincount(lines, minlength=n)  # how many stand on each line
    if len(first_digits) == 0:
        return IndexFile(path, np.zeros(n + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    values = np.fromstring(data.replace(b":", b" "), np.int64, sep=" ")
    head = np.append(True, lines[1:] != lines[:-1])  # the first number of each line is its count
    width = 2 if pairs else 1
    promised = np.zeros(n, np.int64)
    promised[lines[head]] = values[head]
    if (promised > len(values)).any() or (promised * width != numbers - (numbers > 0)).any():
        return None
    starts = np.append(0, np.cumsum(promised))
    body = values[~head]
    if not pairs:
        return IndexFile(path, starts, body)
    # in a well-formed line a colon follows the index of each pair and nothing else
    last_digits = np.flatnonzero(digit & ~np.append(digit[1:], False))
    joined = np.append(colon, False)[last_digits + 1] & np.append(digit, [False, False])[last_digits + 2]
    if joined[head].any() or not joined[~head][0::2].all() or joined[~head][1::2].any():
        return None
    if colon.sum() != len(body) // 2 or (body[1::2] < 1).any():
        return None
    return IndexFile(path, starts, body[0::2], body[1::2])


def _faults(data: bytes, path: str, pairs: bool) -> list[Problem]:
    form, called = (_PAIR, "pairs row:count") if pairs else (_PLAIN, "whole numbers of at least 0")
    faults: list[Problem] = []
    for line, text in enumerate(data.split(b"\n"), start=1):
        cells = text.split()
        if not cells:
            continue
        wrong = [cell for cell in cells[1:] if not form.fullmatch(cell)]
        if not _PLAIN.fullmatch(cells[0]):
            wrong.insert(0, cells[0])
        if wrong:
            shown = wrong[0].decode("latin-1")
            faults.append(Problem(f"{shown!r} is wrong here: a line is a count, then {called}", path, line))
        elif int(cells[0]) != len(cells) - 1:
            cut = f"the line says {int(cells[0])} entries and has {len(cells) - 1}"
            faults.append(Problem(f"{cut}; it is cut off or its count is wrong: fetch the file again", path, line))
        elif pairs and any(cell.endswith(b":0") for cell in cells):
            faults.append(Problem("a word counts 0 times; counts are at least 1", path, line))
    return faults or [Problem("the file is malformed; fetch it again", path)]
