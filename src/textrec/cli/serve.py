"""`textrec serve`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from textrec.cli.options import Device, ModelFolder, Threads
from textrec.cli.output import say
from textrec.cli.running import set_threads
from textrec.errors import MissingExtraError

if TYPE_CHECKING:
    from textrec.serve.service import Service

__all__ = ["serve"]


def serve(
    model: ModelFolder,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Beyond loopback, writes need $TEXTREC_API_KEY.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help="0 takes a free one.")] = 8000,
    database: Annotated[
        str,
        typer.Option("--db", metavar="URL", help="Where added items and likes are kept: sqlite:///… or postgresql://…"),
    ] = "sqlite:///textrec.db",
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A host name to be called by; may be repeated."),
    ] = None,
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Serve recommendations over HTTP, with a web page; new texts and likes are taken in while it runs.

    SIGHUP, or POST /v1/reload, takes over the model folder as it is then.
    """
    set_threads(threads)
    try:
        from textrec.serve.running import API_KEY, Address
        from textrec.serve.running import serve as run
    except ImportError as error:
        if (error.name or "textrec").startswith("textrec"):
            raise
        raise MissingExtraError(error.name or "fastapi", "serve") from None
    address = Address(host, port, tuple(allow_host or ()), os.environ.get(API_KEY) or None)
    run(model, address, database, device=device, ready=_announce)


def _announce(url: str, service: Service) -> None:
    live = service.live
    data, added = live.model.data, len(live.table.added)
    more = f" and {added:,} added ones" if added else ""
    say(f"{live.model.name}: {data.n_users:,} users, {data.n_items:,} items{more}")
    say(f"serving at {url} (Ctrl-C stops)")
