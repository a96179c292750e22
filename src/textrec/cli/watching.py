"""What an experiment shows while it runs: a live table on a terminal, else a line a cell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from textrec.cli.running import note

if TYPE_CHECKING:
    from rich.console import Group

    from textrec.study.grid import Spec

__all__ = ["Watch", "watched"]

Event = Mapping[str, Any]


class Watch:
    """The state of an experiment, from its events.

    Args:
        rows: cell → name of its row of the table, for all cells.
        clock: seconds; for tests.
    """

    def __init__(self, rows: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows = dict(rows)
        self.total, self.done, self.failed = len(rows), 0, 0
        self.running: dict[str, tuple[float, str]] = {}  # cell → start, and how far
        self._together = 0  # the most cells that ran at the same time
        self._seconds: dict[str, list[float]] = {}
        self._waiting = set(rows)  # cells without a result, the running ones too

    def note(self, event: Event) -> str | None:
        """Take an event in; the line for those without a terminal, if it deserves one."""
        name = event.get("cell", "")
        match event["event"]:
            case "plan":
                self.total, self.done = event["total"], event["found"]
                self._waiting = set(event["todo"])
                return f"{self.total} cells, {self.done} of them done before"
            case "start":
                self.running[name] = (self._clock(), "")
                self._together = max(self._together, len(self.running))
            case "epoch":
                metric = next((f", {key} {value:.4f}" for key, value in event.items() if "@" in key), "")
                started = self.running.get(name, (self._clock(), ""))[0]
                self.running[name] = (started, f"epoch {event['epoch']}/{event['epochs']}{metric}")
            case "done" | "failed":
                return self._ended(event, name)
            case "chosen":
                tried = len(event["measured"]) > 1
                why = "which does more than the alternative" if tried else "as it is quick either way"
                return f"{event['model']}: {event['chosen']}, {why}"
        return None

    def _ended(self, event: Event, name: str) -> str:
        started, _ = self.running.pop(name, (self._clock(), ""))
        seconds = self._clock() - started
        self._waiting.discard(name)
        if event["event"] == "failed":
            self.failed += 1
            said = f"failed: {event['error']}"
        else:
            self.done += 1
            self._seconds.setdefault(self._rows.get(name, ""), []).append(seconds)
            said = f"recall@50 {event['recall@50']:.4f}, {seconds:.1f} s"
        place = f"[{self.done + self.failed}/{self.total}]"
        return f"{place} {name}: {said}{self._remaining()}"

    def _remaining(self) -> str:
        left = self.seconds_left()
        return "" if left is None or left < 1 else f", about {duration(left)} left"

    def seconds_left(self) -> float | None:
        """Time left: each cell lasts as long as those of its row so far, or as all so far; None before the first."""
        every = [value for values in self._seconds.values() for value in values]
        if not every:
            return None
        usual = sum(every) / len(every)
        means = {row: sum(values) / len(values) for row, values in self._seconds.items()}
        expected = {name: means.get(self._rows[name], usual) for name in self._waiting}
        for name, (started, _) in self.running.items():
            expected[name] = max(expected[name] - (self._clock() - started), 0.0)
        return sum(expected.values()) / max(self._together, 1)

    def table(self) -> Group:
        """The live table: counts, time left, and a line a running cell."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        left = self.seconds_left()
        failed = f", {self.failed} failed" if self.failed else ""
        when = f", about {duration(left)} left" if left is not None else ""
        head = Text(f"{self.done} of {self.total} cells done{failed}, {len(self.running)} running{when}", style="bold")
        table = Table(box=None, pad_edge=False)
        for column in ("running", "for", "progress"):
            table.add_column(column)
        for name, (started, progress) in self.running.items():
            table.add_row(Text(name), duration(self._clock() - started), Text(progress))
        return Group(head, table) if self.running else Group(head)


def duration(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def watched(spec: Spec) -> Iterator[Callable[[Event], None]]:
    """A function that is told of events and shows them on the standard error."""
    watch = Watch({cell.name: cell.row_name for cell in spec.cells()})
    if not sys.stderr.isatty():

        def tell(event: Event) -> None:
            line = watch.note(event)
            if line:
                note(line)

        yield tell
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), get_renderable=watch.table, refresh_per_second=2, transient=True) as live:

        def show(event: Event) -> None:
            line = watch.note(event)
            if line:
                live.console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield show
