"""Base of the models whose score is u_i · v_j with factors solved exactly: what they share.

Shapes: `U` users, `I` items, `K` factors, `C` items of a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.config import Config, bounded
from textrec.models.solved import SolvedModel

__all__ = ["FactorConfig", "FactorModel"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FactorConfig(Config):
    """What every factor model has."""

    factors: int = bounded(200, 1)
    """K, the size of user and item vectors (paper §4.1.2)."""

    observed: float = bounded(1.0, above=0.0)
    """a, the weight of a like."""

    unobserved: float = bounded(0.01, 0.0)
    """b, the weight of every pair that is not a like; below observed."""

    ridge_users: float = bounded(0.01, above=0.0)
    """λ_u, the ridge on user vectors (paper §4.1.2)."""

    def _faults(self) -> list[str]:
        if self.unobserved < self.observed:
            return []
        return [f"unobserved must be below observed, got {self.unobserved} and {self.observed}"]


class FactorModel(SolvedModel):
    """Users and items as vectors; a subclass learns them and ends with a user solve."""

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"users": self._users, "items": self._items}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._users, self._items = arrays["users"], arrays["items"]
