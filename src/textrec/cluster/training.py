"""Fit a model on a cluster: Ray Train starts the members of a group, replaces them when one dies, and ends them.

Every member gets the data once, through Ray's object store, and holds the whole model; `learn.shared` and `learn.exact`
say what they share. The first member saves checkpoints and returns what was learnt.
"""

from __future__ import annotations

import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from textrec.cluster.member import STEP_SECONDS, Job, Learnt, member
from textrec.cluster.session import connected
from textrec.dataset import Dataset
from textrec.errors import ArgumentError, TextrecError, TextrecWarning, TrainingError
from textrec.learn.checkpoints import forget
from textrec.learn.model import Checkpoint, Model, Monitor
from textrec.learn.recommender import Recommender
from textrec.learn.word_vectors import named_vectors
from textrec.models.embed import EmbedModel
from textrec.models.gru import GruModel
from textrec.models.neural import NeuralModel
from textrec.protocol.splits import Fold

__all__ = ["RESTARTS", "check_trainable", "fit_on_cluster"]

RESTARTS = 3
"""A run in which workers die more often than this ends with an error."""

COLLECTIVE_SECONDS = 600
"""Members that wait longer than this for another one take it for dead."""

ABORT_SECONDS = 30
"""After Ctrl-C, how long to wait for the workers to end."""


def check_trainable(model: Model) -> NeuralModel:
    """The model, when several processes can train it.

    Raises:
        ArgumentError: another model or recipe, or a GPU.
    """
    if not isinstance(model, EmbedModel | GruModel):
        raise ArgumentError(f"a cluster trains embed, embed-mtl, gru and gru-mtl, got {model.name!r}")
    if model.config.recipe != "exact":
        raise ArgumentError(f"a cluster trains by the recipe exact, got {model.config.recipe!r}")
    if model.device not in ("auto", "cpu"):
        raise ArgumentError(f"a cluster trains on processors: device must be auto or cpu, got {model.device!r}")
    return model


def fit_on_cluster(
    model: Recommender,
    train: Dataset,
    *,
    cluster: str = "local",
    workers: int = 2,
    threads: int = 1,
    validation: Fold | None = None,
    monitor: Monitor | None = None,
    checkpoint: Checkpoint | None = None,
) -> Recommender:
    """`model.fit`, by several processes: the same result as by one, but for the order of sums and dropout draws.

    Args:
        model: `embed`, `embed-mtl`, `gru` or `gru-mtl` with the recipe `exact`.
        train: as in `fit`.
        cluster: `local`, `auto` or HOST:PORT, see `session.connected`.
        workers: processes, ≥ 1.
        threads: processors of each.
        validation: as in `fit`.
        monitor: told of progress as in `fit`, from another thread, and of the workers each time they start:
            `{"event": "workers", "start": 1, "workers": [{"host": …, "pid": …}, …]}`.
        checkpoint: as in `fit`, in a folder that all machines of the cluster see. None keeps checkpoints only while
            training on `local`; elsewhere a worker that dies then costs all that was done.

    Returns:
        The model, fitted.

    Raises:
        ArgumentError: a model that cannot be trained so, or no such cluster.
        TrainingError: workers died more than `RESTARTS` times, or training itself cannot go on.
    """
    trained = check_trainable(model)
    trained.check_data(train)
    if workers < 1 or threads < 1:
        raise ArgumentError(f"workers and threads must be at least 1, got {workers} and {threads}")
    trained.word_vectors = trained.word_vectors or named_vectors(model.config.word_vectors)  # files of this machine
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="textrec-")))
        if checkpoint is None and cluster == "local":
            checkpoint = Checkpoint(scratch / "checkpoint")
        if checkpoint is not None:
            checkpoint = replace(checkpoint, folder=checkpoint.folder.absolute())
            if not checkpoint.resume:
                forget(checkpoint.folder)
        stack.enter_context(connected(cluster, workers * threads))
        job = Job(trained, train, validation, checkpoint and replace(checkpoint, resume=True), threads)
        learnt = _run(job, workers, monitor, scratch)
    for message in learnt.warnings:
        warnings.warn(message, TextrecWarning, stacklevel=2)
    trained.data, trained.likes_known = train, True
    trained.vocabulary, trained.report = learnt.vocabulary, learnt.report
    trained._restore(learnt.arrays)
    return model


def _run(job: Job, workers: int, monitor: Monitor | None, scratch: Path) -> Learnt:
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.queue import Queue

    class Trainer(TorchTrainer):  # type: ignore[misc]
        """Leaves Ctrl-C to this process: Ray's handler would stay after training, and end it with exit code 0."""

        controller: Any = None

        def _register_sigint_handler(self, controller: Any) -> None:
            self.controller = controller

    events = Queue(actor_options={"num_cpus": 0})
    trainer = Trainer(
        member,
        train_loop_config={"job": ray.put(job), "events": events},
        torch_config=TorchConfig(backend="gloo", timeout_s=COLLECTIVE_SECONDS),
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": job.threads}),
        run_config=RunConfig(storage_path=str(scratch), failure_config=FailureConfig(max_failures=RESTARTS)),
    )
    try:
        with _listening(events, monitor):
            learnt = trainer.fit().return_value
    except TrainingFailedError as error:
        causes = {str(cause).strip().splitlines()[-1] for cause in getattr(error, "worker_failures", {}).values()}
        said = "; ".join(sorted(causes)) or str(error)
        raise TrainingError(f"training on the cluster failed after {RESTARTS} restarts: {said}") from error
    except ray.exceptions.RayError as error:
        raise TrainingError(f"the cluster was lost in training ({type(error).__name__}); --resume goes on") from error
    except KeyboardInterrupt:
        with suppress(ray.exceptions.RayError):  # it always ends with the death of the controller
            if trainer.controller is not None:
                ray.get(trainer.controller.abort.remote(), timeout=ABORT_SECONDS)
        raise
    finally:
        events.shutdown(force=True)
    if isinstance(learnt, TextrecError):
        raise learnt
    assert isinstance(learnt, Learnt)
    return learnt


@contextmanager
def _listening(events: Any, monitor: Monitor | None) -> Iterator[None]:
    """Pass what the first member tells on to the monitor, from a thread: this one waits for the end of training."""
    done, starts = threading.Event(), 0
    failures: list[BaseException] = []

    def listen() -> None:
        nonlocal starts
        while True:
            last = done.is_set()
            waiting = events.size()
            for event in events.get_nowait_batch(waiting) if waiting else []:
                if event["event"] == "workers":
                    starts += 1
                    event = {**event, "start": starts}
                if monitor is not None and not failures:
                    try:
                        monitor(event)
                    except BaseException as error:  # noqa: BLE001  (raised where training was called)
                        failures.append(error)
            if last:
                return
            done.wait(STEP_SECONDS)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if failures:
        raise failures[0]
    if starts > 1:
        message = f"workers were started {starts} times: one died, and training went on from the last checkpoint"
        warnings.warn(message, TextrecWarning, stacklevel=4)
