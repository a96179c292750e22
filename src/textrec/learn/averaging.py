"""Averages of what training moves: they often generalise better than the weights where training happens to stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from textrec.learn.checkpoints import State

__all__ = ["NO_AVERAGE", "Averaging", "AveragingKind", "WeightAverage"]

AveragingKind = Literal["none", "exponential", "epochs"]
"""none: the weights as they are · exponential: over steps (Polyak, Juditsky 1992, with forgetting) ·
epochs: the mean of the last epochs' ends (Izmailov et al. 2018)."""

YOUNG = 10
"""An exponential average of t steps forgets no slower than (1 + t) / (10 + t): its start is no part of it for long."""


@dataclass(frozen=True)
class Averaging:
    """Which average."""

    kind: AveragingKind = "none"
    decay: float = 0.99  # of an exponential average, a step
    epochs: int = 3  # whose ends are averaged


NO_AVERAGE = Averaging()
"""The weights as they are."""


class WeightAverage:
    """The average of some parameters as they are trained.

        exponential:  m ← d m + (1 − d) w after a step,  d = min(decay, (1 + t) / (10 + t)) at step t
        epochs:       m = mean of w at the ends of the last epochs

    Args:
        parameters: what is averaged; frozen ones stay as they are.
        averaging: which average.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], averaging: Averaging) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.averaging = averaging
        self.steps = 0
        self._kept: list[list[Tensor]] = []  # the exponential average, or the ends of epochs, the last one last

    @torch.no_grad()
    def after_step(self) -> None:
        """Take in the parameters after a step."""
        if self.averaging.kind != "exponential":
            return
        if not self._kept:
            self._kept = [self._copy()]
        self.steps += 1
        decay = min(self.averaging.decay, (1 + self.steps) / (YOUNG + self.steps))
        torch._foreach_lerp_(self._kept[0], [parameter.data for parameter in self.parameters], 1 - decay)

    def after_epoch(self) -> None:
        """Take in the parameters at the end of an epoch."""
        if self.averaging.kind == "epochs":
            self._kept = [*self._kept, self._copy()][-self.averaging.epochs :]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the parameters hold their average; nothing changes before the first step or epoch."""
        if not self._kept:
            yield
            return
        held = self._copy()
        self._put([torch.stack(ends).mean(0) if len(ends) > 1 else ends[0] for ends in zip(*self._kept, strict=True)])
        try:
            yield
        finally:
            self._put(held)

    def state(self) -> State:
        """What `resume` needs, copied."""
        tensors = {
            f"{number}.{place}": value.clone()
            for number, kept in enumerate(self._kept)
            for place, value in enumerate(kept)
        }
        return tensors | {"steps": torch.tensor(self.steps)}

    def resume(self, state: State) -> None:
        """Go on from a state."""
        self.steps = int(state["steps"])
        n_kept = (len(state) - 1) // max(len(self.parameters), 1)
        self._kept = [
            [state[f"{number}.{place}"].to(parameter.device) for place, parameter in enumerate(self.parameters)]
            for number in range(n_kept)
        ]

    def _copy(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.parameters]

    def _put(self, values: list[Tensor]) -> None:
        # copied, not exchanged: an optimiser and a GPU's GRU layer hold on to where the numbers lie
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.data.copy_(value)
