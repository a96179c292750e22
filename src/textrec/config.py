"""Configurations: frozen dataclasses that check themselves, read TOML and flags, and print commented TOML.

A model's configuration is a subclass of `Config`. Each field carries its documentation as a string literal under it,
which the documentation site, `textrec config` and `--help` all show. Numeric bounds are given with `bounded`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import hashlib
import inspect
import itertools
import json
import math
import textwrap
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from textrec.errors import ConfigError

__all__ = ["Config", "bounded", "parse_flag"]


def bounded(default: float, low: float = -math.inf, high: float = math.inf, *, above: float | None = None) -> Any:
    """A numeric field with `low <= value <= high` (and `value > above` when given)."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "above": above})


@dataclass(frozen=True)
class Config:
    """Base of all configurations.

    Raises:
        ConfigError: at construction, naming every bad field at once.
    """

    def __post_init__(self) -> None:
        faults = [fault for spec in dataclasses.fields(self) for fault in _field_faults(self, spec)]
        faults += self._faults() if not faults else []
        if faults:
            raise ConfigError(faults)

    def _faults(self) -> list[str]:
        """What is wrong between fields; subclasses override."""
        return []

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build from names and values.

        Raises:
            ConfigError: an unknown field (with the nearest known one), a wrong type or a value out of range.
        """
        known = {spec.name for spec in dataclasses.fields(cls)}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ConfigError([_unknown_field(name, known) for name in unknown])
        return cls(**values)

    @classmethod
    def from_toml(cls, path: Path, **overrides: Any) -> Self:
        """Read a TOML file (fields at the top level); `overrides` win."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such configuration file; `textrec config --model NAME` prints one") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from None
        return cls.from_mapping(values | overrides)

    def to_dict(self) -> dict[str, Any]:
        """Names and values, ready for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    def to_toml(self) -> str:
        """The whole configuration as TOML, each field under its documentation."""
        docs = self.documentation()
        blocks = []
        for name, value in self.to_dict().items():
            comment = "\n".join(f"# {line}" for line in textwrap.wrap(docs.get(name, ""), 100))
            # TOML reads JSON's strings but for a bare DEL
            shown = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
            line = f"{name} = {shown}" if value is not None else f"# {name} ="
            blocks.append(f"{comment}\n{line}" if comment else line)
        return "\n\n".join(blocks) + "\n" if blocks else "# This model has nothing to configure.\n"

    def fingerprint(self) -> str:
        """SHA-256 of the fields, the same for equal configurations."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def documentation(cls) -> dict[str, str]:
        """Field name → the string literal under it."""
        docs: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            if base is Config or not issubclass(base, Config):
                continue
            body = typing.cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]).body
            for statement, following in itertools.pairwise(body):
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    match following:
                        case ast.Expr(value=ast.Constant(value=str(text))):
                            docs[statement.target.id] = " ".join(text.split())
        return docs


def parse_flag(config: type[Config], name: str, text: str) -> Any:
    """The value of a command-line flag for a field: a TOML literal, or the bare text."""
    hints = typing.get_type_hints(config)
    if name not in hints:
        raise ConfigError(_unknown_field(name, set(hints)))
    if str in _alternatives(hints[name]) or any(isinstance(option, str) for option in _choices(hints[name])):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text  # a text of several lines could hold more fields


def _unknown_field(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known fields: {', '.join(sorted(known)) or 'none'}"
    return f"unknown field {name!r}; {hint}"


def _field_faults(config: Config, spec: dataclasses.Field[Any]) -> list[str]:
    hint = typing.get_type_hints(type(config))[spec.name]
    value = getattr(config, spec.name)
    if isinstance(value, list):  # TOML and JSON know lists only; configurations are hashable
        object.__setattr__(config, spec.name, value := tuple(value))
    if isinstance(value, int) and not isinstance(value, bool) and float in _alternatives(hint):
        object.__setattr__(config, spec.name, value := float(value))
    choices = _choices(hint)
    if choices and value not in choices and not (value is None and type(None) in _alternatives(hint)):
        return [f"{spec.name} must be one of {', '.join(map(repr, choices))}, got {value!r}"]
    plain = tuple(kind for kind in _alternatives(hint) if isinstance(kind, type))
    if not choices and (not isinstance(value, plain) or (isinstance(value, bool) and bool not in plain)):
        expected = " or ".join(kind.__name__ for kind in plain)
        return [f"{spec.name} must be {expected}, got {value!r}"]
    if "low" not in spec.metadata or value is None:
        return []
    low, high, above = spec.metadata["low"], spec.metadata["high"], spec.metadata["above"]
    if above is not None and not value > above:
        return [f"{spec.name} must be above {above:g}, got {value!r}"]
    if not low <= value <= high:  # NaN fails too
        allowed = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        return [f"{spec.name} must be {allowed}, got {value!r}"]
    return []


def _alternatives(hint: Any) -> tuple[Any, ...]:
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return tuple(typing.get_origin(part) or part for part in parts)


def _choices(hint: Any) -> tuple[Any, ...]:
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return tuple(value for part in parts if typing.get_origin(part) is Literal for value in typing.get_args(part))
