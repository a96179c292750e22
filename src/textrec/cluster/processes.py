"""The group of processes that torch.distributed has set up: the members of `learn.group` over a network."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from textrec.errors import TextrecError
from textrec.learn.group import Group

__all__ = ["Processes"]

T = TypeVar("T")


class Processes(Group):
    """The default process group (gloo), tensors on the CPU."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def members(self) -> list[dict[str, Any]]:
        """Host and process id of each member."""
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, {"host": socket.gethostname(), "pid": os.getpid()})
        return found

    def add(self, tensor: Tensor) -> None:
        """Replace the tensor by the sum of the members' tensors."""
        dist.all_reduce(tensor)

    def gather(self, part: Tensor, n: int) -> Tensor:
        """All `n` rows [n, …], of which each member brings its `own` ones."""
        longest = -(-n // self.size)
        padded = part.new_zeros(longest, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        if padded.numel():
            dist.all_gather(parts, padded)
        return torch.stack(parts, 1).flatten(0, 1)[:n]  # [longest, size, …]: the order in which rows were dealt

    def first(self, make: Callable[[], T]) -> T:
        """What the first member makes, for all; the others never call `make`, and its errors are everyone's."""
        made: list[Any] = [None]
        if self.rank == 0:
            try:
                made[0] = make()
            except TextrecError as error:  # any other one ends this process, and the cluster ends the group
                made[0] = error
        dist.broadcast_object_list(made)
        if isinstance(made[0], TextrecError):
            raise made[0]
        result: T = made[0]
        return result
