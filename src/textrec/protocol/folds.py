"""A fold: what a model may read, what it is tested on, and the check that the two do not touch.

Shapes: `U` users, `I` items, `C` candidates, `G` tags.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.dataset import Csr, Dataset, Items, Rows, binary_csr
from textrec.errors import LeakError

__all__ = ["Fold", "Setting", "check_leaks", "cold_fold", "pairs", "warm_fold"]

Setting = Literal["cold", "warm", "time"]
"""How the test part is taken: whole items, likes, or items that are new after a date."""


@dataclass(frozen=True, eq=False)
class Fold:
    """One part held out, and the rest."""

    setting: Setting
    number: int
    train: Dataset
    """What fitting may read. Users are those of the whole data, row by row. Cold: the cold items are not in the item
    table, so neither text nor likes nor tags can leak; transductive: they are, without likes and tags. Warm: all items
    with their tags, without the test likes."""
    candidates: Items
    """What is ranked, by item row: cold the fold's items, their tags hidden; warm the items with a test like."""
    test_likes: Csr
    """[U, C] float32 ones."""
    test_tags: Csr = None
    """[C, G] the hidden tags of the cold candidates; None in the warm setting, where tags are seen."""
    transductive: bool = False
    """Whether the text of cold items may be read while fitting."""

    @cached_property
    def seen(self) -> Csr:
        """The training likes on the candidates [U, C]: never ranked for the user who has them."""
        column_of = np.full(self.train.n_items, -1, np.int64)
        rows = self.train.items.ids.rows(self.candidates.ids)
        column_of[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        users, items = pairs(self.train.likes)
        known = column_of[items] >= 0
        return binary_csr(users[known], column_of[items[known]], self.test_likes.shape)

    @cached_property
    def test_users(self) -> Rows:
        """Rows of the users with at least one test like, ascending: those the metrics are averaged over."""
        return np.flatnonzero(np.diff(self.test_likes.indptr)).astype(np.int64)


def check_leaks(fold: Fold) -> None:
    """Refuse a fold whose training part holds what it is tested on.

    Raises:
        LeakError: a test like is a training like; or, in the cold settings, an item with test likes has training
            likes or tags, shows its tags as a candidate, or stands in the training item table without `transductive`.
    """
    both = fold.test_likes.multiply(fold.seen).tocoo()
    if both.nnz:
        user, item = fold.train.users[both.row[0]], fold.candidates.ids[both.col[0]]
        raise LeakError(f"{both.nnz:,} test likes are training likes, such as user {user!r}, item {item!r}")
    if fold.setting == "warm":
        return
    tested = np.bincount(fold.test_likes.indices, minlength=len(fold.candidates)) > 0
    rows = fold.train.items.ids.rows(fold.candidates.ids)
    known = np.flatnonzero(tested & (rows >= 0))
    liked = fold.train.likes_per_item()[rows[known]] > 0
    tagged = np.diff(fold.train.items.tags.indptr)[rows[known]] > 0
    shown = np.flatnonzero(tested & (np.diff(fold.candidates.tags.indptr) > 0))
    readable = known if not fold.transductive else known[:0]
    for columns, what in (
        (known[liked], "have training likes"),
        (known[tagged], "have training tags"),
        (shown, "show their tags"),
        (readable, "can be read in training, which only transductive allows"),
    ):
        if len(columns):
            item = fold.candidates.ids[columns[0]]
            raise LeakError(f"{len(columns):,} cold test items {what}, such as item {item!r}")


def warm_fold(dataset: Dataset, number: int, test: Csr) -> Fold:
    """A fold of held-out likes; `test` [U, I] is a part of the likes."""
    users, items = pairs(dataset.likes)
    test_users, test_items = pairs(test)
    is_test = np.isin(users * dataset.n_items + items, test_users * dataset.n_items + test_items)
    train = dataset.with_likes(binary_csr(users[~is_test], items[~is_test], dataset.likes.shape))
    rows = np.unique(test_items)
    likes = binary_csr(test_users, np.searchsorted(rows, test_items), (dataset.n_users, len(rows)))
    return Fold("warm", number, train, dataset.items.take(rows), likes)


def cold_fold(
    setting: Setting, number: int, dataset: Dataset, ranked: Rows, cold: Rows, likes: Csr, transductive: bool
) -> Fold:
    """A fold of held-out items.

    Args:
        setting: cold or time.
        number: of the fold.
        dataset: what may be read, apart from the cold items.
        ranked: rows of the candidates, ascending.
        cold: those among them that are held out, ascending.
        likes: [U, I]; the entries on `cold` are the test likes.
        transductive: leave the cold items in the item table, without likes and tags.
    """
    hidden = np.zeros(dataset.n_items, bool)
    hidden[cold] = True
    users, items = pairs(dataset.likes)
    train_likes = binary_csr(users[~hidden[items]], items[~hidden[items]], dataset.likes.shape)
    untagged = dataclasses.replace(dataset.items, tags=_masked_rows(dataset.items.tags, ~hidden))
    train = dataclasses.replace(dataset.with_likes(train_likes), items=untagged)
    if not transductive:
        train = train.take_items(np.flatnonzero(~hidden))
    users, items = pairs(likes)
    users, items = users[hidden[items]], items[hidden[items]]
    test = binary_csr(users, np.searchsorted(ranked, items), (dataset.n_users, len(ranked)))
    tags = sp.csr_array(_masked_rows(dataset.items.tags, hidden)[ranked])
    return Fold(setting, number, train, untagged.take(ranked), test, tags, transductive)


def _masked_rows(matrix: Csr, kept: npt.NDArray[np.bool_]) -> Csr:
    rows, columns = pairs(matrix)
    return binary_csr(rows[kept[rows]], columns[kept[rows]], matrix.shape)


def pairs(matrix: Csr) -> tuple[Rows, Rows]:
    """Row and column of each entry, by row."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return rows, matrix.indices.astype(np.int64)
