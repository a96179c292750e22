"""Splits: what a model may read and what it is tested on, in the cold, warm and time settings.

Random choices come from `numpy.random.default_rng(seed)` alone, so a seed means the same folds everywhere. Filters
(`Dataset.filtered`) come before. The likes of a fold carry no timestamps.

Shapes: `U` users, `I` items, `C` candidates, `G` tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from textrec.dataset import Dataset, Rows
from textrec.errors import ArgumentError, DataError, Problem
from textrec.protocol.dealing import (
    deal_items,
    deal_likes,
    first_likes,
    likes_before,
    new_items,
    seconds_of,
    share_of_items,
    share_of_likes,
)
from textrec.protocol.folds import Fold, Setting, check_leaks, cold_fold, warm_fold
from textrec.protocol.split_files import read_split_file, write_split_file

__all__ = ["Fold", "Split", "check_leaks", "hold_out", "split"]

Pool = Literal["eligible", "all"]


@dataclass(frozen=True, eq=False)
class Split:
    """The test part of every fold; `fold` makes the data of one."""

    setting: Setting
    seed: int | None  # None: the folds were made elsewhere
    candidates: Pool
    test: tuple[Any, ...]  # a fold each: item rows ascending (cold, time) or a CSR [U, I] of test likes (warm)
    shape: tuple[int, int]  # U, I of the data it was made of
    min_item_likes: int = 5
    cutoff: int | None = None  # seconds since 1970 (time)

    def __len__(self) -> int:
        return len(self.test)

    def fold(self, dataset: Dataset, number: int, *, transductive: bool = False) -> Fold:
        """Training data and test part of one fold, checked for leaks.

        Args:
            dataset: the data the split was made of.
            number: from 0.
            transductive: leave cold items in the item table, without likes and tags, so that their text can be read.

        Raises:
            ArgumentError: no such fold, or other data.
            DataError: the fold has no test likes.
            LeakError: see `check_leaks`.
        """
        if not 0 <= number < len(self):
            raise ArgumentError(f"number must be from 0 to {len(self) - 1}, got {number}")
        if dataset.likes.shape != self.shape:
            made, got = ("{:,} users × {:,} items".format(*shape) for shape in (self.shape, dataset.likes.shape))
            raise ArgumentError(f"dataset must be the one the split was made of ({made}), got {got}; split it anew")
        if self.setting == "warm":
            made_fold = warm_fold(dataset, number, self.test[number])
        else:
            made_fold = self._cold_fold(dataset, number, transductive)
        if made_fold.test_likes.nnz == 0:
            raise DataError(f"fold {number} has no test likes; use fewer folds, or another seed")
        check_leaks(made_fold)
        return made_fold

    def _cold_fold(self, dataset: Dataset, number: int, transductive: bool) -> Fold:
        rows = self.test[number]
        if self.setting == "time":
            # a test item was first liked after the cutoff, so all its likes are test likes
            before = dataset.with_likes(likes_before(dataset, self.cutoff or 0))
            return cold_fold("time", number, before, rows, rows, dataset.likes, transductive)
        counts = dataset.likes_per_item()[rows]
        cold = rows[counts >= self.min_item_likes] if self.candidates == "all" else rows
        return cold_fold("cold", number, dataset, rows, cold, dataset.likes, transductive)

    def save(self, path: str | Path, dataset: Dataset) -> None:
        """Write the folds as external ids (`protocol.split_files` shows the layout), atomically.

        Raises:
            DataError: the file cannot be written.
        """
        facts = {"seed": self.seed, "candidates": self.candidates, "min_item_likes": self.min_item_likes}
        write_split_file(Path(path), dataset, self.setting, self.test, facts, self.cutoff)

    @classmethod
    def load(cls, path: str | Path, dataset: Dataset) -> Split:
        """Read a split file, ours or one with nothing but setting and folds, which is used as it is.

        Raises:
            DataError: malformed, or not of this data (`protocol.split_files.read_split_file`).
        """
        facts, test = read_split_file(Path(path), dataset)
        values: dict[str, Any] = {"seed": None, "candidates": "eligible"}
        values |= {name: facts[name] for name in (*values, "min_item_likes") if name in facts}
        faults = _file_faults(facts, values)
        if faults:
            raise DataError([Problem(fault, str(path)) for fault in faults])
        cutoff = None
        if facts["setting"] == "time":
            cutoff = seconds_of(facts["cutoff"])
            _check_new(Path(path), dataset, test, cutoff)
        return cls(setting=facts["setting"], test=tuple(test), shape=dataset.likes.shape, cutoff=cutoff, **values)


def split(
    dataset: Dataset,
    setting: Setting,
    *,
    folds: int = 5,
    seed: int = 0,
    candidates: Pool = "eligible",
    cutoff: str | datetime | None = None,
    min_item_likes: int = 5,
) -> Split:
    """Cut a data set into folds.

    **cold**: the rows of items with at least `min_item_likes` likes, permuted and dealt into folds of equal size. All
    likes on a fold's items are test likes; items with fewer likes always stay in training. `candidates="all"` deals
    all items: those with fewer likes stay in training and are ranked as distractors.

    **warm**: each user's likes on such items, permuted; the p-th goes to fold `(p + user row) mod folds`. Where that
    takes all likes of an item, the one of the first user by row returns to training, in that fold only.

    **time**: one fold. Items first liked at or after `cutoff` are cold and their likes are the test likes; likes
    before it are training likes. Later likes on older items are in neither part.

    Args:
        dataset: filtered data.
        setting: cold, warm or time.
        folds: how many, ≥ 2 (cold, warm).
        seed: of `numpy.random.default_rng`.
        candidates: eligible, or all (cold).
        cutoff: an ISO date or a datetime, UTC unless it says otherwise (time).
        min_item_likes: fewest likes of an item that may be tested, ≥ 1.

    Raises:
        ArgumentError: an argument out of range, or `time` without a cutoff or timestamps.
        DataError: too few items for the folds.
    """
    if setting not in get_args(Setting):
        raise ArgumentError(f"setting must be one of {', '.join(get_args(Setting))}, got {setting!r}")
    if candidates not in get_args(Pool):
        raise ArgumentError(f"candidates must be one of {', '.join(get_args(Pool))}, got {candidates!r}")
    if candidates == "all" and setting != "cold":
        raise ArgumentError(f"candidates 'all' belongs to the setting cold, got the setting {setting!r}")
    if (cutoff is not None) != (setting == "time"):
        raise ArgumentError(f"cutoff belongs to the setting time and it needs one, got {cutoff!r} with {setting!r}")
    if folds < 2 and setting != "time":
        raise ArgumentError(f"folds must be at least 2, got {folds}")
    if min_item_likes < 1:
        raise ArgumentError(f"min_item_likes must be at least 1, got {min_item_likes}")
    seconds = None if cutoff is None else seconds_of(cutoff)
    if seconds is not None:
        test: Sequence[Any] = [new_items(dataset, seconds)]
    elif setting == "cold":
        test = deal_items(dataset, folds, seed, candidates == "all", min_item_likes)
    else:
        test = deal_likes(dataset, folds, seed, min_item_likes)
    return Split(setting, seed, candidates, tuple(test), dataset.likes.shape, min_item_likes, seconds)


def hold_out(
    train: Dataset,
    setting: Literal["cold", "warm"],
    *,
    seed: int,
    fold: int,
    fraction: float = 0.1,
    min_item_likes: int = 5,
    transductive: bool = False,
) -> Fold:
    """Carve a validation part out of a training part, for early stopping.

    **cold**: `fraction` of the items with at least `min_item_likes` training likes; they are the candidates.
    **warm**: `fraction` of each user's likes on such items (rounded up or down at random, so that the share is right
    on average), never an item's last. Both draw from `default_rng(seed + 1000 + fold)`.

    Args:
        train: the training part of a fold.
        setting: cold or warm.
        seed: of the split.
        fold: the fold's number.
        fraction: above 0 and below 1.
        min_item_likes: counted in `train`.
        transductive: as in `Split.fold`.

    Raises:
        ArgumentError: an argument out of range.
        DataError: nothing can be held out.
    """
    if setting not in ("cold", "warm"):
        raise ArgumentError(f"setting must be cold or warm, got {setting!r}")
    if not 0 < fraction < 1:
        raise ArgumentError(f"fraction must be above 0 and below 1, got {fraction}")
    rng = np.random.default_rng(seed + 1000 + fold)
    if setting == "cold":
        rows = share_of_items(train, rng, fraction, min_item_likes)
        made = cold_fold("cold", fold, train, rows, rows, train.likes, transductive)
    else:
        made = warm_fold(train, fold, share_of_likes(train, rng, fraction, min_item_likes))
    if made.test_likes.nnz == 0:
        raise DataError("no validation part: too few likes to hold some out; raise fraction or train without one")
    check_leaks(made)
    return made


def _check_new(path: Path, dataset: Dataset, test: Sequence[Rows], cutoff: int) -> None:
    first = first_likes(dataset)
    old = [row for rows in test for row in rows[first[rows] < cutoff].tolist()]
    if old:
        ids = dataset.items.ids
        raise DataError([Problem(f"item {ids[row]!r} was liked before the cutoff", str(path)) for row in old])


def _file_faults(facts: dict[str, Any], values: dict[str, Any]) -> list[str]:
    faults = []
    if values["candidates"] not in get_args(Pool):
        faults.append(f"candidates must be one of {', '.join(get_args(Pool))}, got {values['candidates']!r}")
    for name, low in (("seed", 0), ("min_item_likes", 1)):
        value = values.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < low):
            faults.append(f"{name} must be a whole number of at least {low}, got {value!r}")
    if facts["setting"] == "time":
        try:
            seconds_of(facts.get("cutoff", ""))
        except ArgumentError as error:
            faults.append(str(error))
    return faults
