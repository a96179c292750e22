"""Bind, serve until told to stop, reload when told to (SIGHUP)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import uvicorn

from textrec.errors import ArgumentError, TextrecError
from textrec.model_folder import load
from textrec.serve.app import LOOPBACK, create_app
from textrec.serve.connection import Connection
from textrec.serve.problems import Refusal
from textrec.serve.service import Service
from textrec.serve.storage import Storage

__all__ = ["API_KEY", "Address", "bind", "serve"]

API_KEY = "TEXTREC_API_KEY"
"""The environment variable that holds the key for writes."""

SHORTEST_KEY = 16
GRACE_SECONDS = 10

log = logging.getLogger("textrec.serve")


@dataclass(frozen=True)
class Address:
    """Where to listen, and by which names to be called.

    Raises:
        ArgumentError: beyond loopback without an API key, or without names to be called by.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()  # allowed beside `host` and loopback
    api_key: str | None = None

    def __post_init__(self) -> None:
        if self.api_key is not None and len(self.api_key) < SHORTEST_KEY:
            raise ArgumentError(f"{API_KEY} must have at least {SHORTEST_KEY} characters, got {len(self.api_key)}")
        if self.is_loopback:
            return
        if self.api_key is None:
            raise ArgumentError(
                f"--host {self.host} lets other machines in: set {API_KEY} to a long random key, which writes then need"
            )
        if _is_wildcard(self.host) and not self.names:
            raise ArgumentError(
                f"--host {self.host} listens on every address: name the hosts it goes by with --allow-host NAME"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can come in."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> tuple[str, ...]:
        """All names to be called by."""
        return tuple(dict.fromkeys([*LOOPBACK, *(() if _is_wildcard(self.host) else (self.host,)), *self.names]))


def _is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def bind(address: Address) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        ArgumentError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # with the protocol named, asyncio turns Nagle's algorithm off; without, every answer waits 40 ms for an ACK
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ArgumentError(f"cannot listen on {address.host} port {address.port}: {reason}; try --port 0") from error
    listener.set_inheritable(True)
    return listener


def serve(
    folder: Path, address: Address, database: str, *, device: str = "auto", ready: Callable[[str, Service], None]
) -> None:
    """Serve a model folder until SIGINT or SIGTERM.

    Args:
        folder: read now and at every reload.
        address: where to listen.
        database: SQLAlchemy URL of what clients add.
        device: where models compute.
        ready: called with the URL once requests are answered.

    Raises:
        ArgumentError, ModelFolderError, DataError: it cannot start.
    """
    first = [load(folder, device=device)]  # before the database: a start that fails leaves no file behind
    service = Service(lambda: first.pop() if first else load(folder, device=device), Storage(database))
    app = create_app(service, hosts=address.hosts, api_key=address.api_key)
    listener = bind(address)
    config = uvicorn.Config(
        app,
        http=Connection,
        log_level=os.environ.get("TEXTREC_LOG", "warning").lower(),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    shown = f"[{address.host}]" if ":" in address.host else address.host
    url = f"http://{shown}:{listener.getsockname()[1]}/"
    with contextlib.closing(listener):
        asyncio.run(_run(uvicorn.Server(config), [listener], service, lambda: ready(url, service)))


async def _run(
    server: uvicorn.Server, sockets: Sequence[socket.socket], service: Service, ready: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    pending: set[asyncio.Task[None]] = set()

    def hang_up() -> None:
        task = loop.create_task(asyncio.to_thread(_reload, service))
        pending.add(task)
        task.add_done_callback(pending.discard)

    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    ready()
    await server.serve(sockets=list(sockets))


def _reload(service: Service) -> None:
    try:
        service.reload()
        log.warning("reloaded the model folder")
    except (TextrecError, Refusal) as error:
        log.error("reload failed, the model stays as it was: %s", error)
