"""Progress of long work, on the standard error and only when that is a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["bar", "counted", "monitored", "spinner"]

T = TypeVar("T")
Event = Mapping[str, Any]


@contextmanager
def bar() -> Iterator[Progress]:
    """A bar with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not sys.stderr.isatty()) as progress:
        yield progress


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """Something turns while work of unknown length goes on."""
    with bar() as progress:
        progress.add_task(what, total=None, figures="")
        yield


def counted(what: str, things: Iterable[T], total: int, size: Callable[[T], int]) -> Iterator[T]:
    """Pass things on and show how far they have come; `size` says how much of `total` each is."""
    with bar() as progress:
        task = progress.add_task(what, total=total, figures="")
        for thing in things:
            yield thing
            progress.advance(task, size(thing))


@contextmanager
def monitored(what: str, log: Path | None = None) -> Iterator[Callable[[Event], None]]:
    """A monitor for `Recommender.fit`: a bar for people, and a JSON line an event in `log`."""
    with ExitStack() as stack:
        lines = stack.enter_context(log.open("w", encoding="utf-8")) if log is not None else None
        progress = stack.enter_context(bar())
        task = progress.add_task(what, total=None, figures="")

        def monitor(event: Event) -> None:
            if lines is not None:
                lines.write(json.dumps(dict(event), ensure_ascii=False) + "\n")
                lines.flush()
            if event.get("event") == "epoch":
                epochs = event["epochs"]
                stage = "all items, epoch" if event.get("refit") else "epoch"
                label = f"{what}, {stage} {event['epoch']}/{epochs}"
                progress.update(
                    task, total=epochs, completed=event["epoch"], description=label, figures=_figures(event)
                )
            elif event.get("event") == "step" and progress.tasks[0].total:
                done = event.get("epoch", 1) - 1 + event["done"] / max(event["total"], 1)
                progress.update(task, completed=done)

        yield monitor


def _figures(event: Event) -> str:
    """`loss 3.21 · recall@50 0.412 · 1,234 documents/s`."""
    parts = [f"loss {event['loss']:.4g}"] if "loss" in event else []
    parts += [f"{name} {value:.4f}" for name, value in event.items() if "@" in name]
    if "documents_per_second" in event:
        parts.append(f"{event['documents_per_second']:,.0f} documents/s")
    return " · ".join(parts)
