"""Word vector files of other programs: word2vec (text and binary) and GloVe (text).

Text: a word and D numbers a line, parted by blanks; word2vec puts a line "V D" before them, GloVe does not. Binary
(`.bin`): that line, then for each word the word, a blank, and D little-endian float32.

Shapes: `V` words, `D` word-vector size.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from textrec.data.corpus import read_lines
from textrec.errors import SHOWN_PROBLEMS, DataError, Problem

__all__ = ["read_vector_file"]

FloatArray = npt.NDArray[np.float32]
_Numbered = tuple[int, str]  # a line and its number, from 1
_LINES_AT_ONCE = 2000
_LARGEST = float(np.finfo(np.float32).max)


def read_vector_file(path: str | Path) -> tuple[list[str], FloatArray]:
    """Words and their vectors.

    Args:
        path: `.bin` or `.bin.gz` is binary, everything else text, also `.gz` and `.xz`.

    Returns:
        V words in the order of the file, float32 [V, D].

    Raises:
        DataError: the file is missing, empty or damaged; text files name the lines.
    """
    path = Path(path)
    words, matrix = _read_binary(path) if path.name.endswith((".bin", ".bin.gz")) else _read_text(path)
    if not words:
        raise DataError(Problem("the file holds no word vectors", str(path)))
    return words, matrix


def _read_text(path: Path) -> tuple[list[str], FloatArray]:
    lines = enumerate(read_lines(path), start=1)
    first = next(lines, (1, ""))
    header = _header(first[1])
    dim = header[1] if header else len(first[1].split()) - 1
    if dim < 1:
        fault = "word vectors are expected: a word and its numbers a line, parted by blanks"
        raise DataError(Problem(fault, str(path), 1))
    words: list[str] = []
    blocks: list[FloatArray] = []
    seen: dict[str, int] = {}
    faults: list[Problem] = []
    for block in _batched(lines if header else itertools.chain([first], lines)):
        new, rows, found = _parse(block, dim, str(path))
        faults += found or _repeated(new, [number for number, _ in block], seen, str(path))
        if len(faults) >= SHOWN_PROBLEMS:
            raise DataError(faults[:SHOWN_PROBLEMS])
        words += new
        blocks.append(rows)
    if header and not faults and header[0] != len(words):
        fault = f"the first line promises {header[0]:,} words and {len(words):,} follow; the file is not whole"
        faults.append(Problem(fault, str(path), 1))
    if faults:
        raise DataError(faults)
    return words, np.concatenate(blocks) if blocks else np.zeros((0, dim), np.float32)


def _header(line: str) -> tuple[int, int] | None:
    """V and D of a word2vec file."""
    parts = line.split()
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(part.isdecimal() for part in parts) else None


def _batched(lines: Iterable[_Numbered]) -> Iterator[list[_Numbered]]:
    filled = (numbered for numbered in lines if numbered[1].strip())
    while block := list(itertools.islice(filled, _LINES_AT_ONCE)):
        yield block


def _parse(block: Sequence[_Numbered], dim: int, path: str) -> tuple[list[str], FloatArray, list[Problem]]:
    """Words and vectors of some lines, or what is wrong with them."""
    # Some GloVe files hold words with blanks inside, so the numbers are taken from the right.
    parts = [line.rstrip().rsplit(None, dim) for _, line in block]
    cells = [part[1:] for part in parts]
    try:
        with np.errstate(over="ignore"):  # found below as infinity
            rows = np.array(cells, np.float32)  # raises where the rows differ in length or a cell is no number
        if rows.shape == (len(block), dim) and np.isfinite(rows).all() and not any(_cut(part[0]) for part in parts):
            return [part[0] for part in parts], rows, []
    except ValueError:
        pass  # gone through line by line below
    faults = [
        Problem(fault, path, number)
        for (number, line), part in zip(block, parts, strict=True)
        if (fault := _fault(line, part, dim))
    ]
    return [], np.zeros((0, dim), np.float32), faults


def _cut(word: str) -> bool:
    """Whether a number was left with the word: the line has too many."""
    head, _, last = word.rpartition(" ")
    return bool(head) and _is_number(last)


def _fault(line: str, part: list[str], dim: int) -> str:
    found = len(line.split()) - 1
    if len(part) != dim + 1 or _cut(part[0]):
        return f"a word and {dim} numbers are expected, found {found} after the word; the file is damaged"
    for cell in part[1:]:
        if not _is_number(cell):
            return f"{cell[:40]!r} is not a number; a word and {dim} numbers are expected"
        if not abs(float(cell)) <= _LARGEST:  # NaN fails too
            return f"{cell[:40]!r} in the vector of {part[0][:40]!r}: only finite numbers are allowed"
    return ""


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _repeated(words: Sequence[str], lines: Sequence[int], seen: dict[str, int], path: str) -> list[Problem]:
    """A fault for each word that stood on an earlier line."""
    faults = []
    for word, line in zip(words, lines, strict=True):
        before = seen.setdefault(word, line)
        if before != line:
            faults.append(Problem(f"{word[:40]!r} stands on line {before} already; remove one of the two", path, line))
    return faults


def _read_binary(path: Path) -> tuple[list[str], FloatArray]:
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except FileNotFoundError:
        raise DataError(Problem("file not found; check the path", str(path))) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(Problem(f"cannot read the file: {error}", str(path))) from error
    start = data.find(b"\n", 0, 100)
    header = _header(data[: max(start, 0)].decode("latin-1"))
    if header is None or header[1] < 1:
        fault = "not a binary word2vec file: it must begin with the numbers of words and of dimensions"
        raise DataError(Problem(fault, str(path)))
    n_words, dim = header
    if len(data) < n_words * (4 * dim + 2):
        raise DataError(Problem(f"the first line promises {n_words:,} words and the file is too short", str(path)))
    return _binary_rows(data, start + 1, n_words, dim, str(path))


def _binary_rows(data: bytes, place: int, n_words: int, dim: int, path: str) -> tuple[list[str], FloatArray]:
    words: list[str] = []
    matrix = np.empty((n_words, dim), np.float32)
    for row in range(n_words):
        gap = data.find(b" ", place)
        if gap < 0 or gap + 1 + 4 * dim > len(data):
            fault = f"word {row + 1:,} of {n_words:,} is cut off; the file is not whole"
            raise DataError(Problem(fault, path))
        words.append(data[place:gap].decode("utf-8", "replace").lstrip("\n"))
        matrix[row] = np.frombuffer(data, "<f4", dim, gap + 1)
        place = gap + 1 + 4 * dim
    bad = np.flatnonzero(~np.isfinite(matrix).all(1))
    if len(bad):
        row = int(bad[0])
        raise DataError(Problem(f"word {row + 1:,}, {words[row][:40]!r}: its vector holds NaN or infinity", path))
    if len(set(words)) != n_words:
        raise DataError(Problem(f"{n_words - len(set(words)):,} words stand twice; the file is damaged", path))
    return words, matrix
