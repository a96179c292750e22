"""Runs one cell: reads the data, deals the folds, fits, tests, and keeps the result or the error."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
import torch

from textrec.config import Config
from textrec.data.source import read
from textrec.dataset import Dataset
from textrec.errors import TextrecError
from textrec.protocol.folds import Fold
from textrec.protocol.metrics import FoldRanking
from textrec.protocol.splits import Split, split
from textrec.registry import create
from textrec.study.breakdown import curves, edges_of, groups
from textrec.study.cells import Cell
from textrec.study.evaluation import evaluate_fold, user_frame
from textrec.study.store import Run, provenance
from textrec.study.text_changes import with_shuffled_words, with_tag_words

__all__ = ["TOP_LENGTH", "Runner", "Tell", "able"]

Tell = Callable[[Mapping[str, Any]], None]
"""Told of what happens: `{"event": "start" | "epoch" | "done" | "failed", "cell": name, …}`."""
TOP_LENGTH = 300
"""Length of the top lists that are kept: as far as Recall@300 needs."""


class Runner:
    """Runs cells in this process; data and folds stay in memory for the next cell.

    Args:
        run: where results go.
        keep_top: whether to keep top lists.
        device: as `registry.create`.
    """

    def __init__(self, run: Run, *, keep_top: bool = False, device: str = "auto") -> None:
        self._run = run
        self._keep_top = keep_top
        self._device = device
        self._data: dict[str, Dataset] = {}  # the last one only
        self._splits: dict[str, Split] = {}  # of that data

    def run(self, cell: Cell, tell: Tell) -> None:
        """Fit and test; an error is kept in the result file and does not leave here."""
        tell({"event": "start", "cell": cell.name})
        try:
            figures = self._measure(cell, tell)
        except Exception as error:  # noqa: BLE001 — whatever it is, the other cells go on
            said = str(error) if isinstance(error, TextrecError) else f"{type(error).__name__}: {error}"
            self._run.write_failure(cell, said, traceback=traceback.format_exc(), **provenance())
            tell({"event": "failed", "cell": cell.name, "error": said})
            return
        tell({"event": "done", "cell": cell.name, **figures})

    def data(self, cell: Cell) -> Dataset:
        """The filtered data of a cell."""
        shuffled = f"|{cell.seed}" if cell.shuffle_words else ""
        key = f"{cell.data}|{cell.min_likes}|{cell.min_tag_items}{shuffled}"
        if key not in self._data:
            kept = read(cell.data).filtered(min_likes=cell.min_likes, min_tag_items=cell.min_tag_items)
            kept = with_shuffled_words(kept, cell.seed) if cell.shuffle_words else kept
            self._data, self._splits = {key: kept}, {}
        return self._data[key]

    def split(self, cell: Cell) -> Split:
        """The folds of a cell: those of the run folder, or new ones that are then saved there."""
        if cell.split_name not in self._splits:
            data, path = self.data(cell), self._run.split_path(cell)
            if path.is_file():
                found = Split.load(path, data)
            else:
                how: dict[str, Any] = {"setting": cell.setting, "candidates": cell.candidates, "cutoff": cell.cutoff}
                found = split(data, folds=cell.n_folds, seed=cell.seed, **how)
                found.save(path, data)
            self._splits[cell.split_name] = found
        return self._splits[cell.split_name]

    def fold(self, cell: Cell) -> Fold:
        """The fold of a cell."""
        return self.split(cell).fold(self.data(cell), cell.fold, transductive=cell.transductive)

    def _measure(self, cell: Cell, tell: Tell) -> Mapping[str, Any]:
        fold = self.fold(cell)
        row, ranking = evaluate_fold(
            fold,
            cell.model,
            config=dict(cell.config),
            seed=cell.seed,
            device=self._device,
            monitor=lambda event: _pass_on(event, cell, tell),
            top=TOP_LENGTH if self._keep_top else 0,
            **({"prepare": with_tag_words} if cell.tag_words else {}),
        )
        if self._keep_top:
            self._run.write_tops(cell, _top_frame(fold, ranking))
        config: Config = create(cell.model, dict(cell.config)).config
        content = {
            "figures": row,
            "curves": curves(ranking.metrics, len(fold.candidates)),
            "groups": groups(fold, ranking.metrics, edges_of(self.data(cell))),
            "threads": torch.get_num_threads(),
            "config_hash": config.fingerprint(),
            **provenance(),
        }
        self._run.write(cell, content, user_frame(cell.fold, ranking.metrics))
        return row


def able(cell: Cell, data: Dataset) -> bool:
    """Whether the model can read these texts: one that needs word order cannot read bags of words."""
    return data.items.documents.ordered or "bag_of_words" in create(cell.model, cell.config).capabilities


def _pass_on(event: Mapping[str, Any], cell: Cell, tell: Tell) -> None:
    if event.get("event") == "epoch":
        tell({**event, "cell": cell.name})


def _top_frame(fold: Fold, ranking: FoldRanking) -> pl.DataFrame:
    """Top lists as `user, rank, item`: row of the user, rank from 1, id of the item."""
    top = ranking.top
    users, places = np.nonzero(top >= 0)
    columns = {
        "user": ranking.metrics.users[users].astype(np.int32),
        "rank": (places + 1).astype(np.int16),
        "item": fold.candidates.ids.names(top[users, places]),
    }
    return pl.DataFrame(columns)
