"""A group whose members are threads of one process: what `textrec.cluster` does with processes, without them.

Members take turns: each runs undisturbed from one exchange to the next, since torch's generator is one for all threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from textrec.learn.group import Group

T = TypeVar("T")


class Thread(Group):
    def __init__(self, table: list[Any], rank: int, barrier: threading.Barrier, turn: threading.Lock) -> None:
        self.rank, self.size = rank, len(table)
        self._table, self._barrier, self._turn = table, barrier, turn

    def _exchange(self, mine: Any) -> list[Any]:
        self._table[self.rank] = mine
        self._wait()
        everyones = list(self._table)
        self._wait()
        return everyones

    def _wait(self) -> None:
        self._turn.release()
        try:
            self._barrier.wait()
        finally:
            self._turn.acquire()

    def add(self, tensor: Tensor) -> None:
        tensor.copy_(torch.stack(self._exchange(tensor.clone())).sum(0))

    def gather(self, part: Tensor, n: int) -> Tensor:
        whole = part.new_empty(n, *part.shape[1:])
        for rank, rows in enumerate(self._exchange(part)):
            whole[rank :: self.size] = rows
        return whole

    def first(self, make: Callable[[], T]) -> T:
        made: Any = None
        if self.rank == 0:
            try:
                made = make()
            except Exception as error:  # noqa: BLE001  (every member raises it)
                made = error
        made = self._exchange(made)[0]
        if isinstance(made, Exception):
            raise made
        return made


def run(size: int, program: Callable[[Group], T]) -> list[T]:
    """What each member returns. A member that fails breaks the barrier, so that nobody waits for ever."""
    barrier, turn, table = threading.Barrier(size, timeout=60), threading.Lock(), [None] * size

    def member(rank: int) -> T:
        with turn:
            try:
                return program(Thread(table, rank, barrier, turn))
            except BaseException:
                barrier.abort()
                raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(member, range(size)))
