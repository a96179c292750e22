"""Training that survives a kill: one file with all that training changes, written atomically.

    checkpoint.safetensors   tensors `now.*` (to go on), `best.*` (the best epoch), and the generator's state; the
                             position, the report and what is trained stand in its header as JSON

There is no pickle in it. A file is complete or the one before is still there: it is written beside and renamed.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from textrec.errors import CheckpointError, TextrecWarning
from textrec.learn.model import Checkpoint
from textrec.learn.tensors import to_tensor

__all__ = [
    "REFIT",
    "Checkpoints",
    "Saved",
    "State",
    "forget",
    "load_optimizer_state",
    "module_state",
    "optimizer_state",
    "part",
    "part_of",
]

State = dict[str, Tensor]
"""Named tensors, enough to put something back as it was."""

FILE = "checkpoint.safetensors"
REFIT = "refit"
"""Folder, inside the checkpoint's, of the passes over all items after early stopping."""

_GENERATOR = "generator"


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds."""

    position: dict[str, Any]  # epoch, steps done, sums, report: JSON
    now: State
    best: State


class Checkpoints:
    """Writes checkpoints at most every N seconds, and reads the last one.

    Args:
        where: folder, how often, and whether to resume; None never writes.
        identity: what is trained (model, configuration, data); a checkpoint of something else is refused.
    """

    def __init__(self, where: Checkpoint | None, identity: str) -> None:
        self.where, self.identity = where, identity
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return self.where is not None and time.monotonic() - self._last >= self.where.every_seconds

    def save(self, position: dict[str, Any], now: Callable[[], State], best: State) -> None:
        """Write a checkpoint. When that fails training goes on, and a warning says which one is still good."""
        if self.where is None:
            return
        self._last = time.monotonic()
        tensors = {f"now.{name}": value for name, value in now().items()}
        tensors |= {f"best.{name}": value for name, value in best.items()}
        tensors[_GENERATOR] = torch.get_rng_state()
        header = {"identity": self.identity, "position": json.dumps(position)}
        path = self.where.folder / FILE
        staged = path.with_suffix(f".new-{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("wb") as stream:
                stream.write(serialise({name: value.cpu().contiguous() for name, value in tensors.items()}, header))
                stream.flush()
                os.fsync(stream.fileno())
            staged.replace(path)
        except OSError as error:
            staged.unlink(missing_ok=True)
            kept = "the last good one is kept" if path.exists() else "there is none yet"
            message = f"{path}: the checkpoint could not be written ({error.strerror or error}); {kept}"
            warnings.warn(message, TextrecWarning, stacklevel=2)

    def load(self) -> Saved | None:
        """The checkpoint to go on from, with the generator set to its state; None when there is nothing to resume.

        Raises:
            CheckpointError: damaged, or a checkpoint of another model, configuration or data.
        """
        if self.where is None or not self.where.resume or not (path := self.where.folder / FILE).exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
            position = json.loads(header["position"])
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{path}: damaged ({error}); delete it and train without --resume") from None
        if header.get("identity") != self.identity:
            raise CheckpointError(
                f"{path}: it was made with another model, configuration, seed or data; "
                "train without --resume, or with what it was made with"
            )
        torch.set_rng_state(tensors.pop(_GENERATOR))
        return Saved(position, part(tensors, "now."), part(tensors, "best."))


def forget(folder: Path) -> None:
    """Remove the checkpoints that training wrote into a folder, and it too when nothing else is in it."""
    for place in (folder / REFIT, folder):
        for file in (*place.glob(FILE), *place.glob(f"{Path(FILE).stem}.new-*")):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # it holds something else, or is not there
            place.rmdir()


def part(tensors: State, prefix: str) -> State:
    """The tensors whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def part_of(arrays: Mapping[str, npt.NDArray[Any]], prefix: str, device: torch.device) -> State:
    """`part` of learnt arrays, as tensors on `device`: what a module of the model folder loads."""
    return part({name: to_tensor(array, device) for name, array in arrays.items() if name.startswith(prefix)}, prefix)


def module_state(prefix: str, module: nn.Module | None) -> State:
    """A module's tensors under names that begin with `prefix`, copied; none of no module."""
    state = {} if module is None else module.state_dict()
    return {prefix + name: value.clone() for name, value in state.items()}


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """What an optimiser remembers of each parameter, copied; learning rates are the schedule's."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value.clone() for number, kept in state.items() for name, value in kept.items()}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: State) -> None:
    """The inverse of `optimizer_state`."""
    kept: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        number, _, what = name.partition(".")
        kept.setdefault(int(number), {})[what] = value
    optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})
