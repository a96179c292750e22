"""The application, built by a function."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from textrec import __version__
from textrec.serve import limits
from textrec.serve.guard import App, Guard
from textrec.serve.metrics import Metrics
from textrec.serve.page import pages
from textrec.serve.problems import install
from textrec.serve.routes import api
from textrec.serve.service import Service

__all__ = ["LOOPBACK", "create_app"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")

DESCRIPTION = """Recommends text items to users, and ranks an item nobody has liked yet by reading it.
Every refusal is problem JSON (RFC 9457)."""


def create_app(
    service: Service,
    *,
    hosts: Iterable[str] = LOOPBACK,
    api_key: str | None = None,
    seconds: float = limits.SECONDS,
) -> App:
    """The service as an ASGI application.

    Args:
        service: what answers.
        hosts: names by which it may be called, without port.
        api_key: needed for writes; None: nobody needs one.
        seconds: time for one request.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.storage.close()

    app = FastAPI(
        title="textrec",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # both pages fetch their scripts from another site
        redoc_url=None,
        redirect_slashes=False,
    )
    metrics = Metrics()
    install(app)
    app.include_router(api(service, metrics))
    app.include_router(pages(service))
    return Guard(app, metrics=metrics, hosts=hosts, api_key=api_key, seconds=seconds)
