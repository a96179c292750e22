"""Every field of a model's configuration is a command-line flag: `--learning-rate 0.01` for `learning_rate`."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from textrec.errors import ArgumentError
from textrec.registry import model_class

if TYPE_CHECKING:
    from textrec.config import Config

__all__ = ["ConfigCommand", "changed", "configuration", "flagged"]

_KEY = "textrec.config_flags"


class ConfigCommand(TyperCommand):
    """A command whose unknown options are fields of the configuration of `--model`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the configuration flags out, then parse the rest as usual."""
        own = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
        if not any(_is_foreign(token, own) for token in args):
            return super().parse_args(ctx, args)
        default = next(parameter.default for parameter in self.params if parameter.name == "model")
        name = _value_of(args, ("--model", "-m")) or str(default)
        rest, ctx.meta[_KEY] = _take_flags(args, own, name, model_class(name).config_type)
        return super().parse_args(ctx, rest)


def configuration(ctx: Any, model: str, path: Any) -> Config:
    """The configuration of a model from its defaults, a TOML file, and the flags of the command line, which win."""
    kind = model_class(model).config_type
    flags: Mapping[str, Any] = ctx.meta.get(_KEY, {})
    return kind.from_mapping(flags) if path is None else kind.from_toml(path, **flags)


def flagged(ctx: Any) -> list[str]:
    """The fields that stand on the command line as flags."""
    return list(ctx.meta.get(_KEY, {}))


def changed(config: Config) -> dict[str, Any]:
    """The fields that differ from the defaults."""
    defaults = type(config)().to_dict()
    return {name: value for name, value in config.to_dict().items() if value != defaults[name]}


def _is_foreign(token: str, own: set[str]) -> bool:
    return token.startswith("--") and token != "--" and token.partition("=")[0] not in own


def _value_of(args: list[str], names: tuple[str, ...]) -> str:
    for place, token in enumerate(args):
        name, equals, value = token.partition("=")
        if name in names:
            return value if equals else "".join(args[place + 1 : place + 2])
    return ""


def _take_flags(args: list[str], own: set[str], model: str, kind: type[Config]) -> tuple[list[str], dict[str, Any]]:
    """The arguments that are not configuration flags, and the fields and values of those that are."""
    from textrec.config import parse_flag

    hints = typing.get_type_hints(kind)
    rest: list[str] = []
    values: dict[str, Any] = {}
    queue = list(args)
    while queue:
        token = queue.pop(0)
        if token == "--":
            return [*rest, token, *queue], values
        if not _is_foreign(token, own):
            rest.append(token)
            continue
        flag, equals, text = token.partition("=")
        name = flag[2:].replace("-", "_")
        negated = name.removeprefix("no_")
        if name not in hints and negated in hints and hints[negated] is bool and not equals:
            values[negated] = False
            continue
        if name not in hints:
            raise ArgumentError(_no_such_flag(flag, own, model, list(hints)))
        if not equals and hints[name] is bool and not (queue and queue[0] in ("true", "false")):
            values[name] = True
            continue
        if not equals and not queue:
            raise ArgumentError(f"{flag} needs a value; `textrec config --model {model}` shows what it takes")
        values[name] = parse_flag(kind, name, text if equals else queue.pop(0))
    return rest, values


def _no_such_flag(flag: str, own: set[str], model: str, fields: list[str]) -> str:
    names = sorted(own) + [f"--{field.replace('_', '-')}" for field in fields]
    near = difflib.get_close_matches(flag, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"`textrec config --model {model}` shows what can be set"
    return f"no option {flag} for the model {model!r}; {hint}"
