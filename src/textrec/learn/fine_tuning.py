"""The recipe `exact` for an encoder that is partly pre-trained: its own learning rate there.

Everything else is `learn.exact`: users solved in closed form each epoch, Adam steps against all users at once.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from textrec.learn.exact import ExactTrainee
from textrec.learn.rates import Rates

__all__ = ["FineTuningTrainee"]


class FineTuningTrainee(ExactTrainee):
    """What `training.train` moves.

    Args:
        pretrained: the part of the encoder that starts pre-trained; what of it is frozen stays.
        pretrained_rate: of Adam, for that part.
        arguments: those of `ExactTrainee`.
    """

    def __init__(self, *arguments: Any, pretrained: nn.Module, pretrained_rate: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        own = {id(parameter) for parameter in pretrained.parameters()}
        group = self.optimizer.param_groups[0]
        moving = [parameter for parameter in group["params"] if parameter.requires_grad]
        group["params"] = [parameter for parameter in moving if id(parameter) not in own]
        fine = [parameter for parameter in moving if id(parameter) in own]
        if fine:
            self.optimizer.add_param_group({"params": fine, "lr": pretrained_rate})
        self.rates = Rates(self.optimizer, self.rates.schedule, self.rates.warmup_steps)
