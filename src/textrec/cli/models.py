"""`textrec models`."""

from __future__ import annotations

import json
from typing import Any

from textrec.cli.options import Json
from textrec.cli.output import console, print_json

__all__ = ["models"]


def models(as_json: Json = False) -> None:
    """List every model: what it is, what it can do, its defaults."""
    from textrec.registry import MODELS

    entries = [_entry(name) for name in MODELS]
    if as_json:
        print_json({"models": entries})
        return
    _print(entries)


def _entry(name: str) -> dict[str, Any]:
    from textrec.errors import MissingExtraError
    from textrec.registry import model_class

    try:
        found = model_class(name)
    except MissingExtraError as error:
        return {"name": name, "summary": None, "capabilities": [], "config": {}, "needs": str(error)}
    return {
        "name": name,
        "summary": found.summary,
        "capabilities": sorted(found.capabilities),
        "config": found.config_type().to_dict(),
        "needs": None,
    }


def _print(entries: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for entry in entries:
        table.add_row(Text(entry["name"], style="bold"), Text(entry["summary"] or entry["needs"]))
        if entry["needs"] is None:
            defaults = " ".join(f"{name}={json.dumps(value)}" for name, value in entry["config"].items())
            table.add_row("", Text("can: " + ", ".join(entry["capabilities"]), style="green"))
            table.add_row("", Text("defaults: " + (defaults or "nothing to configure"), style="dim"))
    console().print(table)
