"""Every error textrec raises on purpose.

    TextrecError
    ├── DataError          input that cannot be used; carries one Problem per fault (path, line, what, what to do)
    ├── ConfigError        a configuration with one or more bad fields, all named at once
    ├── ArgumentError      a bad argument of a call (also a ValueError)
    │   ├── UnknownUserError
    │   └── UnknownItemError
    ├── CapabilityError    the model cannot do this; names the models that can
    ├── CheckpointError    a checkpoint that is damaged, or of another training
    ├── ModelFolderError   a damaged, foreign or newer model folder, or one that could not be written
    ├── MissingExtraError  an optional dependency is not installed; names the command that installs it
    ├── LeakError          training data that holds what it is tested on
    └── TrainingError      training stopped (a loss that is not finite)

    TextrecWarning         something odd that does not stop the work; counted, never fatal

The command line prints the message and exits with 2; the HTTP service answers 4xx with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ArgumentError",
    "CapabilityError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "LeakError",
    "MissingExtraError",
    "ModelFolderError",
    "Problem",
    "TextrecError",
    "TextrecWarning",
    "TrainingError",
    "UnknownItemError",
    "UnknownUserError",
]

SHOWN_PROBLEMS = 20
"""An error message lists this many problems, then counts the rest."""


@dataclass(frozen=True)
class Problem:
    """One fault in an input file, or one class of faults when `count` is above 1."""

    message: str
    path: str = ""
    line: int = 0  # 1-based; 0 when the fault has no line
    severity: Literal["error", "warning"] = "error"
    count: int = 1  # how many rows show it; `line` is the first

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}: " if self.line else f"{self.path}: " if self.path else ""
        more = f" ({self.count:,} such rows, this is the first)" if self.count > 1 else ""
        return f"{place}{self.message}{more}"


class TextrecError(Exception):
    """Base of every error raised on purpose."""


class TextrecWarning(UserWarning):
    """Something odd that does not stop the work: an empty text, fewer candidates than asked for."""


class DataError(TextrecError):
    """Input that cannot be used.

    Args:
        problems: one or more faults; a bare string is a fault without a file.
    """

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems: list[Problem] = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__(_listed(str(problem) for problem in self.problems))


class ConfigError(TextrecError):
    """A configuration with bad fields.

    Args:
        faults: one sentence each, naming field, value and what is allowed.
    """

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults: list[str] = [faults] if isinstance(faults, str) else list(faults)
        super().__init__(_listed(self.faults))


class ArgumentError(TextrecError, ValueError):
    """An argument out of its range: names argument, value and what is allowed."""


class UnknownUserError(ArgumentError):
    """A user id the model was not trained on."""

    def __init__(self, user_id: str) -> None:
        super().__init__(
            f"unknown user {user_id!r}: the model was not trained on this user; "
            "pass what they like instead (liked=…, on the command line --liked or --liked-text)"
        )


class UnknownItemError(ArgumentError):
    """An item id that is neither in the model's catalogue nor given with a text."""

    def __init__(self, item_id: str) -> None:
        super().__init__(
            f"unknown item {item_id!r}: it is not in the model's catalogue; "
            "pass its text as well, in a table with the columns item_id and title or text"
        )


class CapabilityError(TextrecError):
    """A model was asked for something it cannot do."""

    def __init__(self, model: str, lacking: str, able: Sequence[str], reason: str = "") -> None:
        hint = f"models that can: {', '.join(able)}" if able else "no installed model can"
        super().__init__(f"model {model!r} lacks the capability {lacking!r}{reason and f' ({reason})'}; {hint}")


class CheckpointError(TextrecError):
    """A checkpoint that training cannot go on from."""


class ModelFolderError(TextrecError):
    """A model folder that cannot be read or written."""


class MissingExtraError(TextrecError, ImportError):
    """An optional dependency is missing."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs the package {package!r}: pip install 'textrec[{extra}]'")


class LeakError(TextrecError):
    """Training data holds likes, tags or texts that the test part must keep unseen."""


class TrainingError(TextrecError):
    """Training cannot go on; the message names step, batch and learning rate."""


def _listed(sentences: Iterable[str]) -> str:
    lines = list(sentences)
    shown = "\n".join(lines[:SHOWN_PROBLEMS])
    rest = len(lines) - SHOWN_PROBLEMS
    return f"{shown}\n… and {rest:,} more" if rest > 0 else shown
