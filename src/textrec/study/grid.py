"""What an experiment runs: a grid of data × model × setting × fold × seed, read from TOML.

    # every field of a block may also stand at the top, where it holds for all blocks
    data = ["citeulike-a", "citeulike-t"]
    settings = ["cold", "warm"]

    [[grid]]
    models = ["tfidf", "popularity"]

    [[grid]]
    models = ["embed-mtl"]
    variant = "tagger"
    config = { tag_weight = 0.5 }

A model that cannot rank new items has no cells in the cold setting.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, get_args

from textrec.config import Config, bounded
from textrec.errors import ConfigError, TextrecError
from textrec.protocol.folds import Setting
from textrec.registry import MODELS, create
from textrec.study.cells import Cell

__all__ = ["Block", "Spec", "load_spec", "shipped_specs"]

SHIPPED = resources.files("textrec.study") / "specs"


@dataclass(frozen=True)
class Block(Config):
    """A full grid: every combination of its lists."""

    data: tuple[str, ...] = ()
    """Folders or names, as `textrec evaluate` takes them."""

    models: tuple[str, ...] = ()
    """Names of models."""

    settings: tuple[str, ...] = ("cold",)
    """cold, warm or time."""

    folds: tuple[int, ...] = ()
    """Which folds to run; empty for all."""

    seeds: tuple[int, ...] = (0,)
    """Of the split and of the model."""

    variant: str = ""
    """Tells these cells from others of the same model."""

    config: dict[str, Any] = field(default_factory=dict)
    """Fields of the models' configuration; each model must have them."""

    candidates: str = "eligible"
    """`all` ranks items with few likes too (cold)."""

    transductive: bool = False
    """Let training read the text of cold items."""

    tag_words: bool = False
    """Give training the tags of an item as words of its text (the paper's §2.4 argues against it)."""

    shuffle_words: bool = False
    """Put the words of every text in random order, to see what a model reads from order."""

    cutoff: str | None = None
    """Date of the time setting."""

    n_folds: int = bounded(5, 2)
    """Folds to deal."""

    def _faults(self) -> list[str]:
        empty = [name for name in ("data", "models", "settings", "seeds") if not getattr(self, name)]
        found = [f"{name} must name at least one" for name in empty]
        found += [f"settings must be cold, warm or time, got {name!r}" for name in set(self.settings) - _settings()]
        wrong = [fold for fold in self.folds if not _whole(fold) or fold >= self.n_folds]
        found += [f"folds must be from 0 to {self.n_folds - 1}, got {fold!r}" for fold in wrong]
        found += [f"seeds must be whole numbers of at least 0, got {seed!r}" for seed in self.seeds if not _whole(seed)]
        if self.variant and not re.fullmatch(r"[A-Za-z0-9.-]+", self.variant):
            found.append(f"variant must be letters, digits, dots and dashes, got {self.variant!r}")
        for model in self.models:
            try:
                create(model, self.config)
            except TextrecError as error:
                found.append(f"model {model!r}: {error}" if model in MODELS else str(error))
        return found

    def cells(self, min_likes: int, min_tag_items: int) -> Iterator[Cell]:
        """The cells, without those that a model cannot do."""
        made = {model: create(model, self.config) for model in self.models}
        for data, setting, seed in product(self.data, self.settings, self.seeds):
            able = [model for model, its in made.items() if setting == "warm" or "cold" in its.capabilities]
            folds = (0,) if setting == "time" else self.folds or range(self.n_folds)
            # every model on the first fold, then on the next: a run that is not finished can be compared already
            for fold, model in product(folds, able):
                yield Cell(
                    data=data,
                    setting=setting,
                    model=model,
                    fold=fold,
                    seed=seed,
                    variant=self.variant,
                    config=made[model].config.to_dict(),
                    candidates=self.candidates if setting == "cold" else "eligible",
                    transductive=self.transductive and setting != "warm",
                    tag_words=self.tag_words,
                    shuffle_words=self.shuffle_words,
                    n_folds=self.n_folds,
                    cutoff=self.cutoff if setting == "time" else None,
                    min_likes=min_likes,
                    min_tag_items=min_tag_items,
                )


@dataclass(frozen=True)
class Spec(Config):
    """An experiment: its blocks and what holds for all of them."""

    name: str = ""
    """What to call it."""

    summary: str = ""
    """One line of what it shows."""

    baselines: tuple[str, ...] = ()
    """The models that the others are tested against (the best of them); empty for those without early stopping."""

    min_likes: int = bounded(5, 0)
    """Users with fewer likes are left out."""

    min_tag_items: int = bounded(10, 0)
    """Tags on fewer items are left out."""

    grid: tuple[Any, ...] = ()
    """The blocks."""

    @classmethod
    def from_toml_values(cls, values: Mapping[str, Any]) -> Spec:
        """From a parsed TOML file.

        Raises:
            ConfigError: every bad field at once, with the number of its block.
        """
        own = {spec.name for spec in fields(cls)}
        shared = {name: value for name, value in values.items() if name not in own}
        blocks, faults = [], []
        given = values.get("grid", [{}])
        if not isinstance(given, list) or not all(isinstance(block, dict) for block in given):
            raise ConfigError("grid must be written as [[grid]] blocks")
        for number, block in enumerate(given, 1):
            try:
                config = {**shared.get("config", {}), **block.get("config", {})}
                blocks.append(Block.from_mapping({**shared, **block, "config": config}))
            except ConfigError as error:
                faults += [f"[[grid]] {number}: {fault}" for fault in error.faults]
        if faults:
            raise ConfigError(list(dict.fromkeys(faults)))
        rest = {name: value for name, value in values.items() if name in own and name != "grid"}
        return cls.from_mapping({**rest, "grid": tuple(blocks)})

    def _faults(self) -> list[str]:
        found = [f"baselines: unknown model {name!r}" for name in self.baselines if name not in MODELS]
        counts = Counter(cell.name for cell in self.cells())
        twice = [name for name, count in counts.items() if count > 1]
        found += [f"two cells are called {name!r}; give one of the blocks another variant" for name in twice[:5]]
        if not counts:
            found.append("the grid has no cells: none of its models can rank in its settings")
        return found

    def cells(self) -> list[Cell]:
        """All cells, in the order of the file."""
        return [cell for block in self.grid for cell in block.cells(self.min_likes, self.min_tag_items)]


def shipped_specs() -> dict[str, str]:
    """Names of the specifications that come with textrec, with their summaries."""
    names = sorted(entry.name.removesuffix(".toml") for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))
    return {name: str(tomllib.loads(_shipped_text(name)).get("summary", "")) for name in names}


def load_spec(source: str | Path) -> Spec:
    """Read an experiment from a TOML file or by its shipped name.

    Raises:
        ConfigError: no such file or name, not TOML, or bad fields (all at once).
    """
    path = Path(source)
    known = shipped_specs()
    if str(source) in known and not path.is_file():
        text, name = _shipped_text(str(source)), str(source)
    elif path.is_file():
        text, name = path.read_text(encoding="utf-8"), path.stem
    else:
        raise ConfigError(f"no experiment {str(source)!r}: give a TOML file or one of {', '.join(known)}")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from None
    try:
        return Spec.from_toml_values({"name": name, **values})
    except ConfigError as error:
        raise ConfigError([f"{source}: {fault}" for fault in error.faults]) from None


def _shipped_text(name: str) -> str:
    return (SHIPPED / f"{name}.toml").read_text(encoding="utf-8")


def _settings() -> set[str]:
    return set(get_args(Setting))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
