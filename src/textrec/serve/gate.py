"""Work that takes longer than a moment leaves the event loop, a few at a time; when too many wait, one is told so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from textrec.serve import limits
from textrec.serve.problems import Refusal

__all__ = ["Gate"]

T = TypeVar("T")


class Gate:
    """Threads for work of one kind.

    Args:
        at_once: how many work at the same time.
        waiting: how many may wait for them.
    """

    def __init__(self, at_once: int = limits.ENCODES, waiting: int = limits.WAITING) -> None:
        self._at_once, self._most = at_once, at_once + waiting
        self._limiter: CapacityLimiter | None = None
        self._inside = 0

    async def run(self, function: Callable[..., T], *args: Any, **more: Any) -> T:
        """Run a function in a thread.

        Raises:
            Refusal: 503, too many are waiting already.
        """
        if self._inside >= self._most:
            raise Refusal(503, "too many requests at the same time; come back in a second", {"Retry-After": "1"})
        if self._limiter is None:  # it belongs to an event loop, and there is one only now
            self._limiter = CapacityLimiter(self._at_once)
        self._inside += 1
        try:
            return await to_thread.run_sync(
                partial(function, *args, **more), abandon_on_cancel=True, limiter=self._limiter
            )
        finally:
            self._inside -= 1
