"""An experiment: every cell of a grid, once; a killed or extended run goes on where it was."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from textrec.study.adoption import adopt
from textrec.study.cells import Cell
from textrec.study.grid import Spec
from textrec.study.runner import Runner, Tell, able
from textrec.study.store import Run, write_atomically
from textrec.study.workers import Plan, run_cells

__all__ = ["Outcome", "cores", "experiment"]

QUICK_SECONDS = 20.0
"""Cells that take less are not worth a measurement: several at a time, one thread each."""


@dataclass
class Outcome:
    """How an experiment went."""

    total: int = 0  # cells of the grid
    found: int = 0  # of them, done before
    done: int = 0  # of them, done now
    failed: dict[str, str] = field(default_factory=dict)  # cell → error
    left_out: list[str] = field(default_factory=list)  # cells whose model cannot read the data
    adopted: list[str] = field(default_factory=list)  # cells taken over, which count among those found
    seconds: float = 0.0


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def experiment(
    spec: Spec,
    folder: Path,
    *,
    workers: int | None = None,
    keep_top: bool = False,
    adopted: Path | None = None,
    device: str = "auto",
    tell: Tell | None = None,
) -> Outcome:
    """Run the cells of a grid that are not done yet.

    Args:
        spec: the grid.
        folder: the run folder; made, or gone on with.
        workers: processes. 1 runs everything in this process with the threads it has; more divide the cores among
            them. None measures, for each model with slow cells, whether several processes of one thread or one
            process with all cores does more, and notes it in `timing.json` of the run folder.
        keep_top: keep the top lists.
        adopted: a folder with results to take over (`adoption.adopt`).
        device: as `registry.create`.
        tell: told of what happens; first `{"event": "plan", "total": …, "found": …, "todo": [name, …]}`.

    Raises:
        DataError: data that cannot be read, or a folder that is no run.
    """
    started = time.perf_counter()
    run = Run(folder)
    run.open(spec)
    outcome = Outcome()
    say = _noted(outcome, tell)
    runner = Runner(run, keep_top=keep_top, device=device)
    cells = _readable(spec.cells(), runner, outcome)
    for cell in cells:
        run.discard_stale(cell)
    if adopted is not None:
        outcome.adopted = adopt(cells, run, adopted)
    todo = [cell for cell in cells if not run.is_done(cell)]
    outcome.total, outcome.found = len(cells), len(cells) - len(todo)
    names = [cell.name for cell in todo]
    say({"event": "plan", "total": outcome.total, "found": outcome.found, "todo": names})
    if workers == 1 or (workers is None and cores() == 1):
        for cell in todo:
            runner.run(cell, say)
    elif todo:
        del runner  # its data are not needed here any more
        _in_processes(todo, workers, folder, say, keep_top, device)
    outcome.seconds = time.perf_counter() - started
    return outcome


def _readable(cells: Sequence[Cell], runner: Runner, outcome: Outcome) -> list[Cell]:
    """The cells whose model can read the data; the folds of each are dealt and saved."""
    kept = []
    for _, same in groupby(sorted(cells, key=lambda cell: cell.data), key=lambda cell: cell.data):
        for cell in same:
            if able(cell, runner.data(cell)):
                runner.split(cell)
                kept.append(cell)
            else:
                outcome.left_out.append(cell.name)
    place = {cell.name: number for number, cell in enumerate(cells)}
    return sorted(kept, key=lambda cell: place[cell.name])


def _noted(outcome: Outcome, tell: Tell | None) -> Tell:
    def say(event: Mapping[str, Any]) -> None:
        if event["event"] == "done":
            outcome.done += 1
        elif event["event"] == "failed":
            outcome.failed[event["cell"]] = event["error"]
        if tell is not None:
            tell(event)

    return say


def _in_processes(
    todo: Sequence[Cell], workers: int | None, folder: Path, tell: Tell, keep_top: bool, device: str
) -> None:
    def go(cells: Sequence[Cell], plan: Plan) -> list[Mapping[str, Any]]:
        """Run cells; their last events."""
        last: list[Mapping[str, Any]] = []

        def say(event: Mapping[str, Any]) -> None:
            if event["event"] in ("done", "failed"):
                last.append(event)
            tell(event)

        run_cells(cells, plan, folder, say, keep_top=keep_top, device=device)
        return last

    if workers is not None:
        go(todo, Plan(workers, max(1, cores() // workers)))
        return
    wide, deep = Plan(cores(), 1), Plan(1, cores())
    path = folder / "timing.json"
    measured, left = _read(path), list(todo)
    for model in dict.fromkeys(cell.model for cell in todo):
        sample = _alike([cell for cell in todo if cell.model == model], wide.workers + 1)
        if model in measured or not sample:
            continue
        rates = {str(wide): _rate(go(sample[:-1], wide))}
        slow = rates[str(wide)]["seconds"] > QUICK_SECONDS
        if slow:
            rates[str(deep)] = _rate(go(sample[-1:], deep))
        left = [cell for cell in left if cell not in (sample if slow else sample[:-1])]
        measured[model] = {"chosen": max(rates, key=lambda plan: rates[plan]["rate"]), "measured": rates}
        _write(path, measured)
        tell({"event": "chosen", "model": model, **measured[model]})
    prefers_deep = {model for model, found in measured.items() if found["chosen"] == str(deep)}
    go([cell for cell in left if cell.model not in prefers_deep], wide)
    go([cell for cell in left if cell.model in prefers_deep], deep)


def _alike(cells: Sequence[Cell], count: int) -> list[Cell]:
    """Cells that differ in fold or seed only, and so take about as long; empty when there are fewer than `count`."""
    rows: dict[str, list[Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.row_name, []).append(cell)
    return next((row[:count] for row in rows.values() if len(row) >= count), [])


def _rate(events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Work a second of cells that ran at the same time: tokens where the model counts them, else cells."""
    done = [event for event in events if event["event"] == "done"]
    if not done:
        return {"rate": 0.0, "seconds": 0.0}
    rates = [(event["tokens_encoded"] or 1) / event["seconds"] for event in done]
    return {"rate": sum(rates), "seconds": sum(event["seconds"] for event in done) / len(done)}


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1) + "\n"
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))
