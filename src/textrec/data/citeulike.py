"""The official layouts of CiteULike-a and CiteULike-t.

| file | line | needed |
|---|---|---|
| `users.dat` | a user: count, then 0-based items | yes |
| `raw-data.csv` | a paper: `doc.id` (1-based), `title`, `citeulike.id`, `raw.title`, `raw.abstract` | one of these |
| `rawtext.dat` | line 2j−1 a header of paper j, line 2j its text | three, the first |
| `mult.dat` + `vocabulary.dat` | a paper: count of distinct words, then `word:count` | there is read |
| `item-tag.dat` or `tag-item.dat` | a paper and its tags, or a tag and its papers: count, then rows | no |
| `tags.dat` | a tag's name | with either |

The user id is the 0-based line of `users.dat`, the item id the 0-based row, both as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp

from textrec.data.files import Table, read_table
from textrec.data.index_files import IndexFile, read_index_file, read_lines
from textrec.data.latex import clean_latex
from textrec.dataset import Csr, Dataset, Ids, Items, binary_csr
from textrec.errors import DataError, Problem
from textrec.text import Documents

__all__ = ["clean_latex", "read_citeulike"]

_RAW_COLUMNS = ("doc.id", "title", "raw.title", "raw.abstract")


@dataclass(frozen=True, eq=False)
class _Papers:
    """What one of the text files says of the papers."""

    path: Path
    table: Table  # names the line of each paper
    titles: pl.Series
    texts: pl.Series
    documents: Documents | None = None  # a bag of words; None: made from titles and texts


def read_citeulike(folder: str | Path) -> Dataset:
    """Read a folder in the layout of CiteULike-a or CiteULike-t.

    Titles and abstracts are cleaned of LaTeX (`clean_latex`); the cleaned text is the original that is kept.

    Args:
        folder: holds the files of the table above.

    Returns:
        The data set; an item repeated in a line of users.dat counts once. Warnings stand in `problems`.

    Raises:
        DataError: a file is missing, malformed or disagrees with another; lists the faults of all files.
    """
    root = Path(folder)
    problems: list[Problem] = []
    users = papers = None
    try:
        users = read_index_file(root / "users.dat")
    except DataError as error:
        problems += error.problems
    try:
        papers = _read_papers(root)
    except DataError as error:
        problems += error.problems
    tags, tag_names = _read_tags(root, papers, problems)
    if users is None or papers is None:
        raise DataError(problems)
    n = len(papers.titles)
    problems += users.range_problems(n, papers.path.name)
    if len(users.indices) == 0:
        problems.append(Problem("the file has no likes; fetch it again", users.path))
    if problems:
        raise DataError(problems)
    ids = pl.int_range(n, eager=True).cast(pl.String)
    items = Items.build(
        ids, titles=papers.titles, texts=papers.texts, documents=papers.documents, tags=tags, tag_names=tag_names
    )
    return Dataset(
        Ids(pl.int_range(len(users), eager=True).cast(pl.String)),
        items,
        binary_csr(users.rows, users.indices, (len(users), n)),
        name=root.resolve().name,
        problems=(*papers.table.warning(items.documents.lengths == 0, "the paper has no text"), *_repeated(users, n)),
    )


def _repeated(users: IndexFile, n_items: int) -> list[Problem]:
    pairs = users.rows * n_items + users.indices
    order = np.argsort(pairs, kind="stable")
    found = np.sort(order[1:][np.diff(pairs[order]) == 0])
    if len(found) == 0:
        return []
    at = int(found[0])
    said = f"item {users.indices[at]} stands twice in the line; merged"
    return [Problem(said, users.path, int(users.rows[at]) + 1, "warning", len(found))]


def _read_papers(root: Path) -> _Papers:
    if (root / "raw-data.csv").is_file():
        return _read_raw_data(root / "raw-data.csv")
    if (root / "rawtext.dat").is_file():
        return _read_raw_text(root / "rawtext.dat")
    if (root / "mult.dat").is_file():
        return _read_bags(root / "mult.dat", root / "vocabulary.dat")
    raise DataError(
        Problem("no text: add raw-data.csv, rawtext.dat, or mult.dat with vocabulary.dat to the folder", str(root))
    )


def _read_raw_data(path: Path) -> _Papers:
    try:
        table = read_table(path, _RAW_COLUMNS, name="raw-data.csv")
    except DataError as error:
        if "is not valid utf-8" not in str(error):
            raise
        table = read_table(path, _RAW_COLUMNS, name="raw-data.csv", encoding="latin-1")
    frame = table.frame
    lacking = table.require(["doc.id", "raw.title", "raw.abstract"])
    if lacking:
        raise DataError(lacking)
    wrong = frame["doc.id"].cast(pl.Int64, strict=False).fill_null(-1).to_numpy() != np.arange(1, len(frame) + 1)
    faults = table.errors(
        wrong, lambda row: f"doc.id is {frame['doc.id'][row]!r} where {row + 1} is expected; rows go from 1 upwards"
    )
    if faults:
        raise DataError(faults)
    raw = frame["raw.title"].fill_null("")
    titles = raw.zip_with(raw != "", frame["title"].fill_null("")) if "title" in frame.columns else raw
    return _Papers(path, table, clean_latex(titles), clean_latex(frame["raw.abstract"].fill_null("")))


def _read_raw_text(path: Path) -> _Papers:
    lines = read_lines(path)
    if len(lines) % 2 and path.stat().st_size and path.read_bytes()[-1:] == b"\n":
        lines.append("")  # the last paper's text is empty and its line has no end
    if len(lines) % 2:
        said = f"{len(lines)} lines, but each paper takes two (a header, its text); the file is cut off: fetch it again"
        raise DataError(Problem(said, str(path), len(lines)))
    texts = clean_latex(pl.Series("text", lines[1::2], dtype=pl.String))
    table = Table(texts.to_frame(), str(path), lambda: np.arange(2, len(lines) + 1, 2))
    return _Papers(path, table, pl.repeat("", len(texts), dtype=pl.String, eager=True), texts)


def _read_bags(path: Path, words_path: Path) -> _Papers:
    words = read_lines(words_path)
    bags = read_index_file(path, pairs=True)
    faults = bags.range_problems(len(words), words_path.name)
    if faults:
        raise DataError(faults)
    n = len(bags)
    matrix = sp.csr_array((bags.counts, bags.indices, bags.starts), shape=(n, len(words)))
    blank = pl.repeat("", n, dtype=pl.String, eager=True)
    table = Table(blank.to_frame(), str(path), lambda: np.arange(1, n + 1))
    return _Papers(path, table, blank, blank, Documents.from_bags(words, matrix))


def _read_tags(root: Path, papers: _Papers | None, problems: list[Problem]) -> tuple[Csr, list[str]]:
    """Tags of the papers as CSR [I, G] and their names, in the order of tags.dat."""
    by_item, by_tag = root / "item-tag.dat", root / "tag-item.dat"
    path = by_item if by_item.is_file() else by_tag
    if not path.is_file():
        return None, []
    try:
        names, file = read_lines(root / "tags.dat"), read_index_file(path)
    except DataError as error:
        problems += error.problems
        return None, []
    if papers is None:
        return None, []
    n = len(papers.titles)
    lines, allowed = (n, len(names)) if path == by_item else (len(names), n)
    of_lines, of_indices = ("paper", "tags.dat") if path == by_item else ("row of tags.dat", papers.path.name)
    faults = file.range_problems(allowed, of_indices)
    if len(file) != lines:
        said = f"{len(file):,} lines, but there are {lines:,}; it needs one for each {of_lines}"
        faults.append(Problem(f"{said}: fetch the files again", file.path))
    if len(set(names)) != len(names):
        faults.append(_repeated_name(root / "tags.dat", names))
    problems += faults
    if faults:
        return None, []
    pairs = (file.rows, file.indices) if path == by_item else (file.indices, file.rows)
    return binary_csr(*pairs, (n, len(names))), names


def _repeated_name(path: Path, names: list[str]) -> Problem:
    column = pl.Series(names, dtype=pl.String)
    row = int((~column.is_first_distinct()).arg_true()[0])
    said = f"tag {names[row]!r} stands in an earlier line; tag names must be distinct"
    return Problem(said, str(path), row + 1)
