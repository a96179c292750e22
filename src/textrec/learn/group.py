"""Processes that train one model together, as training sees them; one process alone is the rule.

Every member runs the same program on the same data and holds the same model. Rows of work are dealt like cards: member
r of n takes rows r, r + n, r + 2n, …, which shares long and short rows fairly in whatever order they stand. What the
members made is put together again by `gather`, sums over rows by `add`. `textrec.cluster` has a group of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["ALONE", "Group"]

T = TypeVar("T")


class Group:
    """One process alone. A group of several overrides `add`, `gather` and `first`, which all members call together."""

    rank: int = 0  # number of this member
    size: int = 1

    @property
    def own(self) -> slice:
        """The rows that this member takes, of any number of them."""
        return slice(self.rank, None, self.size)

    def add(self, tensor: Tensor) -> None:
        """Replace the tensor by the sum of the members' tensors, to the same bits in all of them."""

    def gather(self, part: Tensor, n: int) -> Tensor:
        """All `n` rows [n, …], of which each member brings its `own` ones."""
        return part

    def first(self, make: Callable[[], T]) -> T:
        """What the first member makes, for all; the others never call `make`, and its errors are everyone's."""
        return make()

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by the sum over the members; a member without one brings zeros."""
        if self.size == 1:
            return
        moved = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in moved:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [parameter.grad for parameter in moved if parameter.grad is not None]
        flat = torch.cat([grad.reshape(-1) for grad in grads])  # one message, not one a parameter
        self.add(flat)
        for grad, summed in zip(grads, torch.split(flat, [grad.numel() for grad in grads]), strict=True):
            grad.copy_(summed.view_as(grad))

    def draw_apart(self, *numbers: int) -> None:
        """Seed torch's generator from `numbers` and the rank, so that members draw different dropout masks.

        Whoever goes on from a checkpoint then draws what it would have drawn, and no generator's state need be kept.
        One process alone keeps its generator.
        """
        if self.size > 1:
            torch.manual_seed(int(np.random.SeedSequence([*numbers, self.rank]).generate_state(1, np.uint64)[0]))


ALONE = Group()
"""No group: one process does everything."""
