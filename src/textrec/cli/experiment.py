"""`textrec experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textrec.cli.options import Device, Threads
from textrec.cli.output import print_json, print_table, say
from textrec.cli.running import note, set_threads, warn
from textrec.cli.watching import watched
from textrec.errors import ArgumentError

if TYPE_CHECKING:
    from textrec.study.experiment import Outcome

__all__ = ["experiment"]


def experiment(
    spec: Annotated[
        str | None,
        typer.Argument(metavar="[SPEC]", show_default=False, help="A TOML file, or a shipped name; see --list."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", show_default="runs/SPEC", help="The run folder.")
    ] = None,
    workers: Annotated[
        str,
        typer.Option(metavar="N|auto", help="Processes; the cores are divided among them. auto measures what is best."),
    ] = "auto",
    threads: Threads = None,
    keep_top: Annotated[bool, typer.Option("--keep-top", help="Keep the top lists, which --verify reads.")] = False,
    adopt: Annotated[
        Path | None,
        typer.Option("--adopt", metavar="FOLDER", help="Take over equal results of another run, or of evaluate."),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option("--verify", metavar="RUN", help="Instead: recompute a run's metrics from its top lists."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Instead: list the shipped experiments.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the outcome as JSON to the standard output.")] = False,
    device: Device = "auto",
) -> None:
    """Run a grid of data, models, settings, folds and seeds; each cell once, whatever stops in between.

    The same command goes on after a stop, with what is missing. Failed cells are tried again. The exit code is 1 when
    a cell failed.
    """
    if listed:
        _list()
    elif verify is not None:
        _verify(verify)
    elif spec is None:
        raise ArgumentError("no experiment: give a TOML file or a shipped name; textrec experiment --list shows them")
    else:
        set_threads(threads)
        _run(spec, out, _count(workers), keep_top, adopt, as_json, device)


def _run(
    spec: str, out: Path | None, workers: int | None, keep_top: bool, adopt: Path | None, as_json: bool, device: str
) -> None:
    from textrec.study.experiment import experiment as run
    from textrec.study.grid import load_spec

    chosen = load_spec(spec)
    folder = out or Path("runs") / chosen.name
    with watched(chosen) as tell:
        outcome = run(chosen, folder, workers=workers, keep_top=keep_top, adopted=adopt, device=device, tell=tell)
    _summarise(outcome, folder, as_json)
    if outcome.failed:
        raise typer.Exit(1)


def _summarise(outcome: Outcome, folder: Path, as_json: bool) -> None:
    for name in outcome.left_out:
        note(f"left out {name}: the model needs texts in word order")
    for name, error in outcome.failed.items():
        warn(f"{name} failed: {error}")
    if as_json:
        counts = {"cells": outcome.total, "found": outcome.found, "done": outcome.done}
        print_json({"out": str(folder), **counts, "failed": outcome.failed, "left_out": outcome.left_out})
        return
    taken = f" ({len(outcome.adopted)} taken over)" if outcome.adopted else ""
    say(
        f"{folder}: {outcome.total} cells, {outcome.found} were there{taken}, {outcome.done} done now, "
        f"{len(outcome.failed)} failed, {outcome.seconds:.0f} s"
    )
    say(f"next: textrec report {folder}")


def _list() -> None:
    from textrec.study.grid import load_spec, shipped_specs

    rows = [[name, len(load_spec(name).cells()), summary] for name, summary in shipped_specs().items()]
    print_table("Shipped experiments", ["name", "cells", "what it shows"], rows, text=("what it shows",))


def _verify(folder: Path) -> None:
    from textrec.study.verification import verify

    checks = list(verify(folder))
    for check in checks:
        for metric, stored in check.wrong.items():
            warn(f"{check.cell}: {metric} is {check.figures[metric]:.6f} by the top lists, {stored:.6f} in the file")
    wrong = sum(bool(check.wrong) for check in checks)
    say(f"{folder}: {len(checks)} cells recomputed from their top lists, {len(checks) - wrong} agree, {wrong} do not")
    if wrong:
        raise typer.Exit(1)


def _count(workers: str) -> int | None:
    if workers == "auto":
        return None
    if not workers.isdigit() or int(workers) < 1:
        raise ArgumentError(f"--workers must be auto or a number of at least 1, got {workers!r}")
    return int(workers)
