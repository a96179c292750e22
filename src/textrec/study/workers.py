"""Worker processes: cells in, events out; one that dies costs its cell only.

Numerical libraries read the number of threads when they are imported, so workers are fresh processes (spawn).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from textrec.study.cells import Cell
from textrec.study.runner import Runner, Tell
from textrec.study.store import Run, provenance

__all__ = ["Plan", "run_cells"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Plan:
    """How many processes run cells at the same time, and the threads of each."""

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers} × {self.threads} thread{'s' if self.threads > 1 else ''}"


def run_cells(cells: Iterable[Cell], plan: Plan, folder: Path, tell: Tell, *, keep_top: bool, device: str) -> None:
    """Run cells in worker processes, each as soon as one is free, in the given order.

    Args:
        cells: what to run.
        plan: processes and threads.
        folder: the run folder.
        tell: told of every event, with the number of the worker as `worker`.
        keep_top: as `Runner`.
        device: as `Runner`.
    """
    queue = deque(cells)
    pool = [_Worker(number, plan.threads, folder, keep_top, device) for number in range(min(plan.workers, len(queue)))]
    try:
        while True:
            for worker in pool:
                if worker.cell is None and queue:
                    worker.give(queue.popleft())
            busy = {worker.connection: worker for worker in pool if worker.cell is not None}
            if not busy:
                return
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                event = worker.receive()
                if event is None:
                    event = worker.bury(Run(folder))
                tell({**event, "worker": worker.number})
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """A process and the cell it has."""

    def __init__(self, number: int, threads: int, folder: Path, keep_top: bool, device: str) -> None:
        self.number = number
        self.cell: Cell | None = None
        self._arguments = (threads, folder, keep_top, device)
        self._start()

    def _start(self) -> None:
        self.connection, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
        with _environment(dict.fromkeys(THREAD_VARIABLES, str(self._arguments[0]))):
            self._process.start()
        theirs.close()

    def give(self, cell: Cell) -> None:
        self.cell = cell
        if not self._process.is_alive():
            self._start()
        self.connection.send(cell)

    def receive(self) -> dict[str, Any] | None:
        """The next event; None when the process is gone."""
        try:
            event: dict[str, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        if event["event"] in ("done", "failed"):
            self.cell = None
        return event

    def bury(self, run: Run) -> dict[str, Any]:
        """Note that the process died over its cell."""
        cell, self.cell = self.cell, None
        assert cell is not None
        self._process.join()
        code = self._process.exitcode or 0
        how = f"was killed by signal {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        error = f"the worker process {how}; out of memory? Try fewer --workers"
        run.write_failure(cell, error, **provenance())
        return {"event": "failed", "cell": cell.name, "error": error}

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()
        self.connection.close()


def _work(connection: Connection, threads: int, folder: Path, keep_top: bool, device: str) -> None:
    """What a worker process does until its connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends its workers
    _end_with_parent()
    import torch

    torch.set_num_threads(threads)
    runner = Runner(Run(folder), keep_top=keep_top, device=device)
    while True:
        try:
            cell = connection.recv()
        except EOFError:
            return
        runner.run(cell, connection.send)


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, and two runs of one cell would waste time."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
