"""Work on many rows by several processes: Ray Data deals ranges of rows and brings the frames back in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from textrec.cluster.session import connected

if TYPE_CHECKING:
    import polars as pl

__all__ = ["spread"]


def spread(
    work: Callable[[int, int], Iterable[pl.DataFrame]],
    n: int,
    parts: int,
    *,
    cluster: str = "local",
    workers: int = 2,
    threads: int = 1,
) -> Iterator[pl.DataFrame]:
    """What `work` makes of all rows, in the order of the rows.

    Args:
        work: the frames of the rows from the first number up to the second; it is sent to each worker once, with all
            that it holds.
        n: rows.
        parts: ranges that the rows are cut into. More of them share the work more evenly; each is begun anew.
        cluster: `local`, `auto` or HOST:PORT, see `session.connected`.
        workers: processes.
        threads: processors of each.
    """
    import numpy as np
    import polars as pl

    parts = max(1, min(parts, n))
    bounds = np.linspace(0, n, parts + 1).astype(np.int64)
    ranges = [pl.DataFrame({"start": bounds[i : i + 1], "stop": bounds[i + 1 : i + 2]}) for i in range(parts)]
    with connected(cluster, workers * threads):
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # The ranges lie in memory: reading them elsewhere would need a processor beside those of the workers.
        results = ray.data.from_arrow([frame.to_arrow() for frame in ranges]).map_batches(
            _Worker,
            fn_constructor_args=(ray.put(work),),
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=min(workers, parts)),
            num_cpus=threads,
        )
        for table in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            frame = pl.from_arrow(table)
            assert isinstance(frame, pl.DataFrame)
            yield frame


class _Worker:
    """One process: takes the work in once, then does it for ranges of rows."""

    def __init__(self, work: Any) -> None:
        import ray

        self.work = ray.get(work) if isinstance(work, ray.ObjectRef) else work

    def __call__(self, ranges: Any) -> Iterator[Any]:
        import polars as pl

        for start, stop in zip(ranges["start"].to_pylist(), ranges["stop"].to_pylist(), strict=True):
            for frame in self.work(start, stop):
                if len(frame):
                    yield frame.to_arrow(compat_level=pl.CompatLevel.oldest())
