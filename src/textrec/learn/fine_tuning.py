"""The recipe `exact` for an encoder that is partly pre-trained: its own learning rate there, and a warm-up.

Everything else is `learn.exact`: users solved in closed form each epoch, Adam steps against all users at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from textrec.dataset import Rows
from textrec.learn.checkpoints import State
from textrec.learn.exact import ExactTrainee

__all__ = ["FineTuningTrainee"]


class FineTuningTrainee(ExactTrainee):
    """What `training.train` moves.

    Args:
        pretrained: the part of the encoder that starts pre-trained; what of it is frozen stays.
        pretrained_rate: of Adam, for that part.
        warmup_steps: steps in which all rates rise linearly to their place on the cosine.
        arguments: those of `ExactTrainee`.
    """

    def __init__(
        self, *arguments: Any, pretrained: nn.Module, pretrained_rate: float, warmup_steps: int, **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        own = {id(parameter) for parameter in pretrained.parameters()}
        group = self.optimizer.param_groups[0]
        moving = [parameter for parameter in group["params"] if parameter.requires_grad]
        group["params"] = [parameter for parameter in moving if id(parameter) not in own]
        fine = [parameter for parameter in moving if id(parameter) in own]
        if fine:
            self.optimizer.add_param_group({"params": fine, "lr": pretrained_rate})
            self.rates.append(pretrained_rate)
        self.warmup_steps, self.steps = warmup_steps, 0
        self.epoch_rates = list(self.rates)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set the epoch's rates, along the cosine."""
        super().begin_epoch(epoch, epochs)
        self.epoch_rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, examples: Rows) -> tuple[float, int]:
        """One Adam step, at a share of the rates while warming up."""
        self.steps += 1
        share = min(1.0, self.steps / max(self.warmup_steps, 1))
        for group, rate in zip(self.optimizer.param_groups, self.epoch_rates, strict=True):
            group["lr"] = rate * share
        return super().step(examples)

    def state(self) -> State:
        """That of `ExactTrainee`, and the steps done."""
        return super().state() | {"steps": torch.tensor(self.steps)}

    def resume(self, state: State) -> None:
        """Go on from a state."""
        super().resume(state)
        self.steps = int(state["steps"])
