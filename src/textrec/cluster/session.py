"""A connection to a Ray cluster: one of this machine's own, or one that runs already."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from textrec.errors import ArgumentError, MissingExtraError

__all__ = ["check_address", "connected"]

_SETTINGS = {
    "RAY_AUTH_MODE": "disabled",  # else a token is written into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",  # else its makers hear of each use
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of a change to come
    "RAY_worker_niceness": "0",  # else workers run at 15 more than this process: on a busy machine, not at all
}
"""What a cluster of this machine's own is started with, unless the environment says otherwise."""

ANSWER_SECONDS = 5
"""How long to wait for the head of a cluster."""

_HOST_AND_PORT = re.compile(r"[^\s:/]+:\d{1,5}")


def check_address(cluster: str) -> None:
    """Refuse what is no address of a cluster, and a machine without Ray.

    Raises:
        ArgumentError: not `local`, `auto` or HOST:PORT.
        MissingExtraError: Ray is not installed.
    """
    if cluster not in ("local", "auto") and not _HOST_AND_PORT.fullmatch(cluster):
        raise ArgumentError(f"cluster must be local, auto or HOST:PORT, got {cluster!r}")
    _ray()


@contextmanager
def connected(cluster: str, cpus: int) -> Iterator[None]:
    """Be connected to a cluster with `cpus` processors; a connection that was there before is used and left open.

    Args:
        cluster: `local` starts one on this machine that ends with the block, `auto` finds the one this machine belongs
            to, HOST:PORT is the head of one that this machine belongs to.
        cpus: processors that the work needs; `local` has just these, whatever the machine has.

    Raises:
        ArgumentError: no such cluster, or too small a one.
        MissingExtraError: Ray is not installed.
    """
    check_address(cluster)
    ray = _ray()
    opened = not ray.is_initialized()
    if opened:
        _connect(ray, cluster, cpus)
    try:
        have = int(ray.cluster_resources().get("CPU", 0))
        if have < cpus:
            raise ArgumentError(f"the cluster has {have} CPUs and this needs {cpus}; take fewer workers or threads")
        yield
    finally:
        if opened:
            ray.shutdown()


def _connect(ray: Any, cluster: str, cpus: int) -> None:
    own = {"num_cpus": cpus, "include_dashboard": False} if cluster == "local" else {}
    try:
        address = _head() if cluster == "auto" else cluster
        if ":" in address:  # Ray would go on asking for ever
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        how = "start one with `ray start --head`, or take local"
        raise ArgumentError(f"no Ray cluster answers at {cluster!r} ({_line(error)}); {how}") from None


def _head() -> str:
    """HOST:PORT of the cluster this machine belongs to, or last belonged to."""
    from ray._private.services import canonicalize_bootstrap_address  # the only way to ask without connecting

    return str(canonicalize_bootstrap_address("auto"))


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _ray() -> Any:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "ray") from None
    return ray
