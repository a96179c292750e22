"""One process of a group that trains: what Ray Train runs, in each of its workers.

Nothing heavy is imported before the work begins: Ray's controller reads this module too.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textrec.errors import CheckpointError, TextrecError, TextrecWarning, TrainingError

if TYPE_CHECKING:
    import numpy.typing as npt

    from textrec.dataset import Dataset
    from textrec.learn.model import Checkpoint, FitReport
    from textrec.models.neural import NeuralModel
    from textrec.protocol.splits import Fold
    from textrec.text import Vocabulary

__all__ = ["STEP_SECONDS", "Job", "Learnt", "member"]

STEP_SECONDS = 0.2
"""The monitor hears of steps at most this often: each time is a message over the network."""


@dataclass(frozen=True)
class Job:
    """What every member starts from."""

    model: NeuralModel
    train: Dataset
    validation: Fold | None
    checkpoint: Checkpoint | None
    threads: int


@dataclass(frozen=True)
class Learnt:
    """What the first member returns."""

    arrays: dict[str, npt.NDArray[Any]]
    vocabulary: Vocabulary
    report: FitReport
    warnings: list[str]


class _Teller:
    """The monitor of the first member: what it hears goes to where training was called."""

    def __init__(self, events: Any) -> None:
        self.events, self.last_step = events, 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if event["event"] == "step":
            if now - self.last_step < STEP_SECONDS:
                return
            self.last_step = now
        self.events.put(dict(event))


def member(config: Mapping[str, Any]) -> Learnt | TextrecError | None:
    """One process of the group. Errors of all members, which a restart cannot mend, are returned, not raised."""
    import numpy as np
    import ray
    import torch

    from textrec.cluster.processes import Processes

    job: Job = ray.get(config["job"])
    torch.set_num_threads(job.threads)
    model, group, told = job.model, Processes(), _Teller(config["events"])
    model.group = group
    workers = group.members()
    if group.rank == 0:
        told({"event": "workers", "workers": workers})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TextrecWarning)
        try:
            model.fit(job.train, validation=job.validation, monitor=told, checkpoint=job.checkpoint)
        except (CheckpointError, TrainingError) as error:
            return error
    if group.rank > 0:
        return None
    said = [str(warning.message) for warning in caught if issubclass(warning.category, TextrecWarning)]
    arrays = {name: np.ascontiguousarray(array) for name, array in model._arrays().items()}
    return Learnt(arrays, model.vocabulary, model.report, said)
