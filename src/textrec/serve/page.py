"""The web page: one template, one style sheet, one script; everything else comes from the API."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from fastapi import APIRouter
from jinja2 import Environment
from starlette.responses import Response

from textrec.serve import limits
from textrec.serve.service import Service

__all__ = ["pages"]

KINDS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


def pages(service: Service) -> APIRouter:
    """The page at `/` and what it needs."""
    folder = files("textrec.serve") / "static"
    assets = {name: (folder / name).read_bytes() for name in KINDS}
    stamps = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in assets.items()}
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        live = service.live
        html = template.render(
            model=live.model.name,
            summary=live.model.summary,
            can=sorted(live.model.capabilities),
            users=live.model.data.n_users,
            items=len(live.table),
            stamps=stamps,
            limits=limits,
        )
        return Response(html, media_type="text/html; charset=utf-8")

    @router.get("/static/{name}")
    async def asset(name: str) -> Response:
        if name not in assets:
            return Response(status_code=404)
        return Response(assets[name], media_type=KINDS[name])

    @router.get("/favicon.ico")
    async def icon() -> Response:
        return Response(status_code=204)

    return router
