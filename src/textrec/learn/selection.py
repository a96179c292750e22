"""Which items a call speaks of: ids, texts, tables or `Items`, resolved against a catalogue.

Shapes: `C` items of the selection, `I` items of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from textrec.data.tables import read_items
from textrec.dataset import Csr, Ids, Items, Rows, binary_csr
from textrec.errors import UnknownItemError

__all__ = ["Selection", "as_new_items", "select"]


@dataclass(frozen=True, eq=False)
class Selection:
    """Items picked for a call: rows of the catalogue, new items, or both, in the caller's order."""

    ids: pl.Series  # [C]
    rows: Rows  # [C] catalogue row of each, −1 for a new item
    new: Items | None = None  # the new ones, in order

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, stop: int) -> Selection:
        """The items from `start` up to `stop`."""
        rows = self.rows[start:stop]
        first = int((self.rows[:start] < 0).sum())
        new = np.arange(first, first + int((rows < 0).sum()))
        return Selection(self.ids[start:stop], rows, self.new.take(new) if self.new and len(new) else None)

    def columns_of(self, likes: Csr) -> Csr:
        """Likes over the catalogue [n, I] as likes over this selection [n, C]."""
        if len(self) == likes.shape[1] and np.array_equal(self.rows, np.arange(len(self))):
            return likes  # the whole catalogue: no copy
        column_of = np.full(likes.shape[1], -1, np.int64)
        known = np.flatnonzero(self.rows >= 0)
        column_of[self.rows[known]] = known
        columns = column_of[likes.indices]
        users = np.repeat(np.arange(likes.shape[0]), np.diff(likes.indptr))
        return binary_csr(users[columns >= 0], columns[columns >= 0], (likes.shape[0], len(self)))


def select(catalogue: Items, items: Any) -> Selection:
    """Resolve `items` against a catalogue.

    An id that the catalogue has means the item it has, whatever text stands beside it. In a list of strings, a string
    is an id when the catalogue has it, and otherwise a text, which needs white space in it.

    Args:
        catalogue: the known items.
        items: None for the whole catalogue, `Items`, one string, several, or a table (polars, pandas, Arrow).

    Raises:
        UnknownItemError: an unknown id without a text.
        ArgumentError: an item stands twice.
    """
    if items is None:
        return Selection(catalogue.ids.values, np.arange(len(catalogue)))
    if isinstance(items, str) or (isinstance(items, Sequence) and not isinstance(items, Items)):
        return _select_strings(catalogue, [items] if isinstance(items, str) else list(items))
    table = items if isinstance(items, Items) else _read_table(catalogue, items)
    rows = catalogue.ids.rows(table.ids)
    new = np.flatnonzero(rows < 0)
    return Selection(table.ids.values, rows, table.take(new) if len(new) else None)


def as_new_items(texts: Any) -> Items:
    """Texts (a string is always a text here), a table or `Items` as items nobody has liked."""
    if isinstance(texts, Items):
        return texts
    if isinstance(texts, (str, Sequence)):
        strings = [texts] if isinstance(texts, str) else list(texts)
        return Items.build(_numbered(len(strings)), texts=pl.Series(strings, dtype=pl.String))
    return read_items(pl.DataFrame(texts))


def _numbered(n: int) -> list[str]:
    return [f"text-{place + 1}" for place in range(n)]


def _select_strings(catalogue: Items, strings: list[str]) -> Selection:
    rows = catalogue.ids.rows(strings)
    texts = [string for string, row in zip(strings, rows.tolist(), strict=True) if row < 0]
    for text in texts:
        if len(text.split()) < 2:
            raise UnknownItemError(text)
    if not texts:
        return Selection(Ids(strings).values, rows)
    new = as_new_items(texts)
    names = iter(new.ids)
    ids = [string if row >= 0 else next(names) for string, row in zip(strings, rows.tolist(), strict=True)]
    return Selection(Ids(ids).values, rows, new)


def _read_table(catalogue: Items, table: Any) -> Items:
    frame = pl.DataFrame(table)
    if frame.columns != ["item_id"]:
        return read_items(frame)
    ids = frame["item_id"].cast(pl.String)
    unknown = catalogue.ids.rows(ids) < 0
    if unknown.any():
        raise UnknownItemError(str(ids[int(np.argmax(unknown))]))
    return Items.build(ids)
