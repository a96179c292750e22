"""Where to search: for each configuration field by name, the values that are tried.

A model's space follows from the fields its configuration has, so a new model needs nothing here unless it brings a
field of a new name.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from textrec.config import Config

__all__ = ["SPACE", "Choice", "Range", "assembled", "flat", "space_of"]


@dataclass(frozen=True)
class Range:
    """Numbers from low to high; `log` draws their logarithm evenly. Whole numbers where low is one."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Any, name: str) -> float | int:
        """The trial's value, with three significant digits, as one would write it down."""
        if isinstance(self.low, int):
            return int(trial.suggest_int(name, self.low, self.high, log=self.log))
        return _rounded(trial.suggest_float(name, self.low, self.high, log=self.log))

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def suggest(self, trial: Any, name: str) -> Any:
        """The trial's value."""
        return trial.suggest_categorical(name, list(self.values))

    def __contains__(self, value: object) -> bool:
        return value in self.values


Domain = Range | Choice

SPACE: Mapping[str, Domain] = {
    "factors": Choice((50, 100, 200, 300)),
    "embedding_dim": Choice((100, 200, 300)),
    "hidden_dim": Choice((100, 200, 400)),
    "pooling": Choice(("mean", "last", "max")),
    "unobserved": Range(0.001, 0.1, log=True),
    "ridge_users": Range(0.01, 10.0, log=True),
    "ridge_items": Range(0.1, 1000.0, log=True),
    "ridge_text": Range(0.0001, 1.0, log=True),
    "ridge_map": Range(0.1, 100.0, log=True),
    "ridge_tags": Range(0.01, 10.0, log=True),
    "batch_size": Choice((64, 128, 256, 512)),
    "learning_rate": Range(0.0003, 0.03, log=True),
    "tag_learning_rate": Range(0.001, 0.1, log=True),
    "init_scale": Range(0.002, 0.5, log=True),
    "vector_norm": Range(0.05, 3.0, log=True),
    "dropout": Range(0.0, 0.7),
    "dropout_words": Range(0.0, 0.5),
    "dropout_first": Range(0.0, 0.7),
    "dropout_second": Range(0.0, 0.7),
    "word_dropout": Range(0.0, 0.5),
    "tag_weight": Range(0.005, 5.0, log=True),
    "absent_tag_weight": Range(0.01, 1.0, log=True),
    "paper_ridge": Range(0.0001, 1.0, log=True),
    "paper_likes_share": Range(0.1, 0.95),
    "ngrams": Range(1, 2),
    "min_items": Range(1, 5),
    "sublinear": Choice((True, False)),
    "width": Range(0.1, 1.0, log=True),
    "share": Range(0.0, 1.0),
    "imputed": Choice((0.0, 4.0, 8.0, 12.0, 20.0)),
    "collaborative": Choice((0.0, 0.3, 1.0, 3.0)),
    "trained_layers": Range(0, 4),
    "fine_tuning_rate": Range(0.00003, 0.001, log=True),
}
"""Field → where to search. What is not here keeps its value."""

_EXACT_ONLY = frozenset(
    {"unobserved", "ridge_users", "ridge_items", "ridge_text", "batch_size", "tag_weight", "tag_learning_rate"}
)
_PAPER_ONLY = frozenset({"paper_ridge", "paper_likes_share"})
"""What the other recipe never reads."""

_WARM_ONLY = frozenset({"ridge_items", "collaborative"})
"""What acts on items with likes only: no cold validation item shows it."""

_KERNEL_SHAPE = frozenset({"width", "share"})
_SHAPE_OF: Mapping[str, frozenset[str]] = {"tfidf": frozenset(), "vectors": frozenset({"width"})}
"""What some kernels read of it; the others read all."""

_OF_NGRAMS = frozenset({"ngrams", "min_items"})


def space_of(kind: type[Config], fixed: Mapping[str, Any], setting: Literal["cold", "warm"]) -> dict[str, Domain]:
    """Parameter → domain, for the fields of a configuration that are not fixed.

    Args:
        kind: the model's configuration.
        fixed: fields with a given value. With `word_vectors` the size of word vectors is fixed too, and the `recipe`
            leaves out what only the other one reads.
        setting: fields that cannot matter in it are left out.
    """
    hints = typing.get_type_hints(kind)
    out: set[str] = set(fixed) | (_WARM_ONLY if setting == "cold" else set())
    out |= _EXACT_ONLY if fixed.get("recipe") == "paper" else _PAPER_ONLY
    start = {**kind().to_dict(), **fixed}
    if "kernel" in start:
        out |= _KERNEL_SHAPE - _SHAPE_OF.get(start["kernel"], _KERNEL_SHAPE)
        out |= _OF_NGRAMS if start["kernel"] == "vectors" else set()
        out |= {"imputed", "collaborative"} if start["solver"] == "nystrom" else set()
    if "trained_layers" in start:
        out.add("init_scale")  # a pre-trained network starts as it is
        out |= {"fine_tuning_rate"} if fixed.get("trained_layers") == 0 else set()
    if fixed.get("word_vectors") is None:
        out.add("vector_norm")
    else:
        out.add("embedding_dim" if "embedding_dim" in hints else "factors")
    bounds = {spec.name: spec.metadata for spec in dataclasses.fields(kind)}
    space: dict[str, Domain] = {}
    for field, domain in SPACE.items():
        if field in hints and field not in out:
            domain = _allowed(domain, hints[field], bounds[field])
            space |= dict.fromkeys(_parameters(field, start[field]), domain)
    return space


def flat(values: Mapping[str, Any], parameters: Container[str]) -> dict[str, Any]:
    """Fields and values as parameters and values, the elements of a tuple each by itself (`dropout.0`)."""
    found: dict[str, Any] = {}
    for field, value in values.items():
        parts = value if isinstance(value, tuple | list) else [value]
        found |= dict(zip(_parameters(field, value), parts, strict=True))
    return {name: value for name, value in found.items() if name in parameters}


def assembled(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flat`."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        field, dot, _ = name.partition(".")
        fields[field] = (*fields.get(field, ()), value) if dot else value
    return fields


def _parameters(field: str, value: Any) -> Iterator[str]:
    if isinstance(value, tuple | list):
        yield from (f"{field}.{place}" for place in range(len(value)))
    else:
        yield field


def _allowed(domain: Domain, hint: Any, bounds: Mapping[str, Any]) -> Domain:
    """The domain without what the field's type or bounds do not allow."""
    if isinstance(domain, Range):
        return Range(
            max(domain.low, bounds.get("low", -math.inf)), min(domain.high, bounds.get("high", math.inf)), domain.log
        )
    if typing.get_origin(hint) is Literal:
        return Choice(tuple(value for value in domain.values if value in typing.get_args(hint)))
    return domain


def _rounded(value: float) -> float:
    return 0.0 if value == 0 else round(value, 2 - math.floor(math.log10(abs(value))))
