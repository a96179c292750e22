"""A cell of an experiment: one model fitted and tested on one fold."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textrec.config import Config
from textrec.registry import create

__all__ = ["Cell"]

BEFORE: Mapping[str, Any] = {"neighbours": 0, "tag_neighbours": 0, "item_tag_weight": 0.0}
"""What results that lack these fields ran with. Any other field that a result lacks had what is now its default."""

OF_NEW_ITEMS = {"neighbours", "tag_neighbours"}
"""Fields without a part in the ranking of known items: a warm result is the same whatever they are."""

MODELS_WITHIN = {"encoder", "members"}
"""Fields that name models with settings of their own (`models.members`)."""


@dataclass(frozen=True)
class Cell:
    """One run: a model fitted and tested on one fold."""

    data: str
    setting: str
    model: str
    fold: int
    seed: int = 0
    variant: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)  # every field of the model's configuration
    candidates: str = "eligible"
    transductive: bool = False
    tag_words: bool = False
    shuffle_words: bool = False
    n_folds: int = 5
    cutoff: str | None = None
    min_likes: int = 5
    min_tag_items: int = 10

    @property
    def data_name(self) -> str:
        """The last part of `data`, which may be a path."""
        return Path(self.data).name or self.data

    @property
    def split_name(self) -> str:
        """Names the split: equal for the cells that share folds."""
        pool = "all" if self.candidates == "all" else ""
        unusual = (
            f"until-{self.cutoff}" if self.cutoff else "",
            f"{self.n_folds}-folds" if self.n_folds != Cell.n_folds else "",
            f"min-likes-{self.min_likes}" if self.min_likes != Cell.min_likes else "",
        )
        return _joined(self.data_name, self.setting, pool, *unusual, f"seed{self.seed}")

    @property
    def row_name(self) -> str:
        """Names the row of a table: equal for the folds and seeds of one."""
        pool = "all" if self.candidates == "all" else ""
        return _joined(self.data_name, self.setting, pool, self.model, *self.notes)

    @property
    def notes(self) -> list[str]:
        """What tells the cell from the plain one of its model."""
        marks = {"transductive": self.transductive, "tag-words": self.tag_words, "shuffled": self.shuffle_words}
        return [self.variant] * bool(self.variant) + [name for name, holds in marks.items() if holds]

    @property
    def name(self) -> str:
        """Names the cell and its files."""
        return f"{self.row_name}_seed{self.seed}_fold{self.fold}"

    def to_dict(self) -> dict[str, Any]:
        """Names and values, ready for JSON."""
        return {**vars(self), "config": dict(self.config)}

    def same_as(self, stored: Mapping[str, Any]) -> bool:
        """Whether a stored cell ran the same; `variant` is a name and does not count.

        A field, of the cell or of the configuration, that the stored one does not have yet had its default (but see
        `BEFORE`). Paths count by their last part.
        """
        bare = Cell(data="", setting="", model="", fold=0).to_dict()
        mine, theirs = self.to_dict() | {"variant": None}, {**bare, **stored, "variant": None}
        theirs["config"] = {**_defaults(self.model), **theirs["config"]}
        for part in (mine, theirs):
            part["data"] = Path(part["data"]).name
            part["config"] = {
                name: _within(value) if name in MODELS_WITHIN else _last(value)
                for name, value in part["config"].items()
                if self.setting == "cold" or name not in OF_NEW_ITEMS
            }
        return mine == theirs


def _last(value: Any) -> Any:
    """The last part of a path, which can be written in several ways; anything else as it is."""
    return Path(value).name if isinstance(value, str) else value


def _within(value: Any) -> Any:
    """The same for models with their settings: `gru word_vectors=a/b`, or several of them."""
    if not isinstance(value, str):
        return [_within(each) for each in value] if value else value
    settings = [token.partition("=") for token in shlex.split(value)]
    return [(name, _within(path) if name in MODELS_WITHIN else _last(path)) for name, _, path in settings]


def _joined(*parts: str) -> str:
    return "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", part) for part in parts if part)


def _defaults(model: str) -> dict[str, Any]:
    config: Config = create(model).config
    values = config.to_dict()
    return values | {name: value for name, value in BEFORE.items() if name in values}
