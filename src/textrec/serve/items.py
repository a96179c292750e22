"""The items a service knows: the model's catalogue, and after it those that clients added.

Row numbers run through both: the catalogue's `I` rows first, then the added ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import scipy.sparse as sp

from textrec.dataset import Items, Rows, full_texts
from textrec.serve.storage import StoredItem

__all__ = ["Catalogue", "ItemTable", "build_items"]

LABEL_LENGTH = 200


class Catalogue:
    """The model's own items, with what answering needs made once."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.ids: list[str] = items.ids.values.to_list()
        self.titles: list[str] = items.titles.to_list()
        self.texts: list[str] = items.texts.to_list()
        self.haystack = _haystack(items.titles, items.texts)
        self._by_tag = sp.csr_array(items.tags.T)
        self._tag_names: list[str] = items.tag_names.values.to_list()

    def __len__(self) -> int:
        return len(self.ids)

    def label(self, row: int) -> str:
        """What to call an item."""
        return self.titles[row] or self.texts[row][:LABEL_LENGTH] or self.items.label(row)

    def tags(self, row: int) -> list[str]:
        """The tags of an item."""
        tags = self.items.tags
        return [self._tag_names[column] for column in tags.indices[tags.indptr[row] : tags.indptr[row + 1]].tolist()]

    def tagged(self, tag: str) -> Rows | None:
        """Rows with a tag; None when no item was ever tagged so."""
        column = int(self.items.tag_names.rows([tag])[0])
        return None if column < 0 else self._by_tag[[column]].indices.astype(np.int64)


@dataclass(frozen=True, eq=False)
class ItemTable:
    """Catalogue and added items; adding and removing make a new table, so that readers keep a whole one."""

    catalogue: Catalogue
    added: tuple[StoredItem, ...] = ()

    def __len__(self) -> int:
        return len(self.catalogue) + len(self.added)

    @cached_property
    def _places(self) -> dict[str, int]:
        first = len(self.catalogue)
        return {item.item_id: first + place for place, item in enumerate(self.added)}

    @cached_property
    def _haystack(self) -> pl.Series:
        titles = pl.Series([item.title for item in self.added], dtype=pl.String)
        return _haystack(titles, pl.Series([item.text for item in self.added], dtype=pl.String))

    def row(self, item_id: str) -> int:
        """The row of an id, −1 when nobody knows it."""
        row = int(self.catalogue.items.ids.rows([item_id])[0])
        return row if row >= 0 else self._places.get(item_id, -1)

    def item(self, row: int) -> StoredItem:
        """One item."""
        known = self.catalogue
        if row >= len(known):
            return self.added[row - len(known)]
        return StoredItem(known.ids[row], known.titles[row], known.texts[row], tuple(known.tags(row)))

    def id_of(self, row: int) -> str:
        """The id of a row."""
        known = self.catalogue
        return known.ids[row] if row < len(known) else self.added[row - len(known)].item_id

    def label(self, row: int) -> str:
        """What to call an item: its title, or the start of its text."""
        if row < len(self.catalogue):
            return self.catalogue.label(row)
        item = self.added[row - len(self.catalogue)]
        return item.title or item.text[:LABEL_LENGTH]

    def tags(self, row: int) -> Sequence[str]:
        """The tags of a row."""
        known = self.catalogue
        return known.tags(row) if row < len(known) else self.added[row - len(known)].tags

    def tagged(self, tag: str) -> Rows | None:
        """Rows with a tag, or None when nobody knows the tag."""
        first = len(self.catalogue)
        own = [first + place for place, item in enumerate(self.added) if tag in item.tags]
        known = self.catalogue.tagged(tag)
        if known is None and not own:
            return None
        return np.concatenate([np.zeros(0, np.int64) if known is None else known, np.array(own, np.int64)])

    def search(self, query: str, k: int) -> list[int]:
        """Rows that hold every word of the query, titles that begin with it first; added items before the others."""
        wanted = query.lower().split()
        exact = self.row(query.strip())
        found = [exact] if exact >= 0 else []
        if wanted:
            first = len(self.catalogue)
            late = [first + row for row in _holding(self._haystack, wanted)]
            early = _holding(self.catalogue.haystack, wanted)
            starts = [row for row in early[: 50 * k] if self.catalogue.titles[row].lower().startswith(wanted[0])]
            found += [*reversed(late), *starts, *early]
        return list(dict.fromkeys(found))[:k]

    def as_items(self, rows: Iterable[int]) -> Items:
        """The items of some rows with their texts."""
        wanted = np.fromiter(rows, np.int64)
        if (wanted < len(self.catalogue)).all():
            return self.catalogue.items.take(wanted)
        return build_items([self.item(row) for row in wanted.tolist()])

    def with_added(self, items: Sequence[StoredItem]) -> ItemTable:
        """The table with more items behind the others."""
        return dataclasses.replace(self, added=(*self.added, *items))

    def without(self, item_id: str) -> ItemTable:
        """The table without an added item."""
        return dataclasses.replace(self, added=tuple(item for item in self.added if item.item_id != item_id))


def build_items(items: Sequence[StoredItem]) -> Items:
    """Added items in the form that models read."""
    titles = pl.Series([item.title for item in items], dtype=pl.String)
    texts = pl.Series([item.text for item in items], dtype=pl.String)
    return Items.build([item.item_id for item in items], titles=titles, texts=texts)


def _haystack(titles: pl.Series, texts: pl.Series) -> pl.Series:
    return full_texts(titles, texts).str.to_lowercase()


def _holding(haystack: pl.Series, words: Sequence[str]) -> list[int]:
    held = pl.repeat(True, len(haystack), dtype=pl.Boolean, eager=True)
    for word in words:
        held &= haystack.str.contains(word, literal=True)
    return held.arg_true().to_list()
