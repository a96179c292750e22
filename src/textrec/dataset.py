"""The central object: who liked what, and what the items say.

External ids are text and live in `Ids`; everything else speaks in row numbers (`user_index`, `item_index`).
All parts are frozen, and arrays (memory-mapped ones too) are used as given, without a copy.

Shapes: `U` users, `I` items, `G` tags.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from textrec.errors import ArgumentError, DataError, Problem
from textrec.text import Documents

__all__ = ["Csr", "Dataset", "Ids", "Items", "Rows", "binary_csr", "full_texts"]

Csr = Any
"""A `scipy.sparse.csr_array` (scipy ships no types)."""
Rows = npt.NDArray[np.int64]
"""Row numbers, internal."""


class Ids:
    """A column of distinct external ids and their row numbers."""

    def __init__(self, values: pl.Series | Iterable[str]) -> None:
        series = values if isinstance(values, pl.Series) else pl.Series(list(values), dtype=pl.String)
        self.values: pl.Series = series.cast(pl.String).alias("id")
        if self.values.n_unique() != len(self.values):
            twice = self.values.filter(self.values.is_duplicated())[0]
            raise ArgumentError(f"ids must be distinct, got {twice!r} more than once")

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> str:
        return str(self.values[int(row)])

    def __iter__(self) -> Iterator[str]:
        return iter(self.values.to_list())

    def __contains__(self, value: object) -> bool:
        return value in self._row_of

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {value: row for row, value in enumerate(self.values.to_list())}

    def rows(self, values: Iterable[str]) -> Rows:
        """Row number of each id, −1 where it is unknown."""
        return np.fromiter((self._row_of.get(value, -1) for value in values), np.int64)

    def take(self, rows: Rows) -> Ids:
        """The ids of the given rows."""
        return Ids(self.values.gather(rows))

    def names(self, rows: npt.NDArray[Any]) -> pl.Series:
        """The id of each row number; rows may repeat."""
        return self.values.gather(rows.ravel())


def binary_csr(rows: npt.ArrayLike, columns: npt.ArrayLike, shape: tuple[int, int]) -> Csr:
    """A float32 CSR of ones at (rows, columns); a repeated pair counts once."""
    pairs = np.sort(np.asarray(rows, np.int64) * max(shape[1], 1) + np.asarray(columns, np.int64))
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]  # np.unique hashes, which is several times slower
    row, column = np.divmod(pairs, max(shape[1], 1))
    starts = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=shape[0]), out=starts[1:])
    index_type = np.int32 if max(len(column), shape[1]) < 2**31 else np.int64
    data = np.ones(len(column), np.float32)
    return sp.csr_array((data, column.astype(index_type), starts.astype(index_type)), shape=shape)


def full_texts(titles: pl.Series, texts: pl.Series) -> pl.Series:
    """Title and text joined by a line break; one rule whether either is empty or not."""
    both = pl.DataFrame([titles.fill_null("").alias("title"), texts.fill_null("").alias("text")])
    return both.select(pl.concat_str("title", "text", separator="\n").str.strip_chars("\n")).to_series()


@dataclass(frozen=True, eq=False)
class Items:
    """A table of text items: a catalogue, or new ones nobody has liked yet."""

    ids: Ids
    titles: pl.Series  # String, "" where there is none
    texts: pl.Series  # String, "" where there is none; the original casing and punctuation
    documents: Documents  # the words of title and text
    tags: Csr  # [I, G] float32 ones
    tag_names: Ids

    def __post_init__(self) -> None:
        sizes = (len(self.titles), len(self.texts), len(self.documents), self.tags.shape[0])
        if sizes != (len(self.ids),) * 4 or self.tags.shape[1] != len(self.tag_names):
            raise ArgumentError(
                f"{len(self.ids)} items need as many titles, texts, documents and tag rows, got {sizes}; "
                f"{len(self.tag_names)} tags need as many columns, got {self.tags.shape[1]}"
            )

    @classmethod
    def build(
        cls,
        ids: Iterable[str] | pl.Series,
        *,
        titles: pl.Series | None = None,
        texts: pl.Series | None = None,
        documents: Documents | None = None,
        tags: Csr = None,
        tag_names: Iterable[str] = (),
    ) -> Items:
        """Items from columns; missing ones are empty, and `documents` defaults to the tokens of title and text."""
        known = Ids(ids)
        blank = pl.repeat("", len(known), dtype=pl.String, eager=True)
        title_column = blank if titles is None else titles.cast(pl.String).fill_null("")
        text_column = blank if texts is None else texts.cast(pl.String).fill_null("")
        if documents is None:
            documents = Documents.from_texts(full_texts(title_column, text_column).to_list())
        names = Ids(tag_names)
        tag_rows = binary_csr([], [], (len(known), len(names))) if tags is None else tags
        return cls(known, title_column.alias("title"), text_column.alias("text"), documents, tag_rows, names)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Rows) -> Items:
        """The given rows, in the given order."""
        return Items(
            self.ids.take(rows),
            self.titles.gather(rows),
            self.texts.gather(rows),
            self.documents.take(rows),
            self.tags[rows],
            self.tag_names,
        )

    def without_tags(self) -> Items:
        """The same items with every tag hidden."""
        return dataclasses.replace(self, tags=binary_csr([], [], self.tags.shape))

    def label(self, row: int) -> str:
        """What to call an item in a list: its title, the start of its text, or its commonest words."""
        row = int(row)  # polars takes no numpy integer
        text = str(self.titles[row]) or " ".join(str(self.texts[row])[:200].split())
        return text or " ".join(word for word, _ in Counter(self.documents.row_words(row)).most_common(8))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Users, items and likes."""

    users: Ids
    items: Items
    likes: Csr  # [U, I] float32 ones, sorted columns, no duplicates
    timestamps: Csr = None  # [U, I] int64 seconds since 1970 at the same places as `likes`, or None
    name: str = ""
    problems: tuple[Problem, ...] = ()  # the warnings of reading

    def __post_init__(self) -> None:
        if self.likes.shape != (len(self.users), len(self.items)):
            raise ArgumentError(
                f"likes must be {len(self.users)} users × {len(self.items)} items, got {self.likes.shape}"
            )

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def n_likes(self) -> int:
        """Number of likes."""
        return int(self.likes.nnz)

    def likes_per_user(self) -> Rows:
        """Likes of each user [U]."""
        return np.asarray(np.diff(self.likes.indptr), np.int64)

    def likes_per_item(self) -> Rows:
        """Likes of each item [I]."""
        return np.bincount(self.likes.indices, minlength=self.n_items).astype(np.int64)

    def with_likes(self, likes: Csr) -> Dataset:
        """The same users and items with other likes (timestamps are dropped)."""
        return dataclasses.replace(self, likes=likes, timestamps=None)

    def take_users(self, rows: Rows) -> Dataset:
        """Only these users."""
        times = None if self.timestamps is None else self.timestamps[rows]
        return dataclasses.replace(self, users=self.users.take(rows), likes=self.likes[rows], timestamps=times)

    def take_items(self, rows: Rows) -> Dataset:
        """Only these items, in the given order."""
        times = None if self.timestamps is None else sp.csr_array(self.timestamps[:, rows])
        likes = sp.csr_array(self.likes[:, rows])
        for matrix in (likes, times):
            if matrix is not None:
                matrix.sort_indices()
        return dataclasses.replace(self, items=self.items.take(rows), likes=likes, timestamps=times)

    def filtered(self, *, min_likes: int = 5, min_tag_items: int = 10) -> Dataset:
        """Drop users with fewer than `min_likes` likes, then tags on fewer than `min_tag_items` items (§4.1).

        Tags are counted on the whole data set as read. Items stay, whatever their likes.

        Raises:
            DataError: no user is left.
        """
        kept = np.flatnonzero(self.likes_per_user() >= min_likes)
        if len(kept) == 0:
            raise DataError(
                f"{self.name or 'the data'}: none of {self.n_users:,} users has {min_likes} likes or more; "
                "lower --min-likes"
            )
        tagged = np.bincount(self.items.tags.indices, minlength=len(self.items.tag_names))
        tags = np.flatnonzero(tagged >= min_tag_items)
        names = self.items.tag_names.take(tags)
        items = dataclasses.replace(self.items, tags=sp.csr_array(self.items.tags[:, tags]), tag_names=names)
        kept_users = self if len(kept) == self.n_users else self.take_users(kept)
        return dataclasses.replace(kept_users, items=items)

    def equals(self, other: Dataset) -> bool:
        """Whether both hold the same users, items, texts, tags and likes, in the same order."""
        mine, theirs = self.items, other.items
        return (
            self.users.values.equals(other.users.values)
            and mine.ids.values.equals(theirs.ids.values)
            and mine.titles.equals(theirs.titles)
            and mine.texts.equals(theirs.texts)
            and mine.tag_names.values.equals(theirs.tag_names.values)
            and _same(mine.tags, theirs.tags)
            and _same(self.likes, other.likes)
            and _same(self.timestamps, other.timestamps)
            and mine.documents.ordered == theirs.documents.ordered
            and all(mine.documents.row_words(row) == theirs.documents.row_words(row) for row in range(len(mine)))
        )


def _same(a: Csr, b: Csr) -> bool:
    if a is None or b is None:
        return a is b
    return (
        a.shape == b.shape
        and np.array_equal(a.indptr, b.indptr)
        and np.array_equal(a.indices, b.indices)
        and np.array_equal(a.data, b.data)
    )
