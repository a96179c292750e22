"""What stands before the routes: who may ask, how much, and for how long.

Other web pages can make a browser send requests to a service on loopback. They cannot name a foreign Host, set a JSON
content type without a preflight (which is never granted), or hide their Origin; so these three are required.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from textrec.serve import limits
from textrec.serve.metrics import Metrics
from textrec.serve.problems import Refusal, problem

__all__ = ["CONTENT_SECURITY", "Guard"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
WRITES = (("POST", "/v1/items"), ("POST", "/v1/likes"), ("POST", "/v1/reload"))


class Guard:
    """ASGI middleware.

    Args:
        app: what stands behind.
        metrics: told of every answer.
        hosts: names by which the service may be called, without port.
        api_key: needed for writes; None: nobody needs one.
        seconds: time for one request.
    """

    def __init__(
        self,
        app: App,
        *,
        metrics: Metrics,
        hosts: Iterable[str],
        api_key: str | None = None,
        seconds: float = limits.SECONDS,
    ) -> None:
        self.app, self.metrics, self.seconds = app, metrics, seconds
        self.hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self.api_key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, pass it on, count its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status, whole = 0, False

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        try:
            async with asyncio.timeout(self.seconds):
                self._check(scope)
                body = await _body(receive)
                whole = True
                if body is None:  # the client went away in the middle of its request
                    return
                await self.app(scope, _replay(body, receive), answer)
        except Refusal as refusal:
            await problem(refusal.status, refusal.detail, headers=refusal.headers)(scope, receive, answer)
        except TimeoutError:
            if not status:
                await self._too_late(whole)(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"  # or anybody could make new counters
            self.metrics.requests.labels(method, route, status or 499).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    def _too_late(self, whole: bool) -> Response:
        """The answer when time is up: the body never came as a whole (408), or the work takes too long (503)."""
        if not whole:
            detail = f"the body did not arrive within {self.seconds:g} seconds"
            return problem(408, detail, headers={"Connection": "close"})
        detail = f"this took longer than {self.seconds:g} seconds; ask for less"
        return problem(503, detail, headers={"Retry-After": "5"})

    def _check(self, scope: Scope) -> None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or _host_name(hosts[0]) not in self.hosts:
            raise Refusal(421, "this service does not go by that host name; --allow-host adds one")
        for origin in headers.get(b"origin", []):
            if _origin_name(origin) not in self.hosts:
                raise Refusal(403, "requests from other web sites are refused")
        method, path = scope["method"], scope["path"]
        if method in ("POST", "PUT", "PATCH"):
            kind = b"".join(headers.get(b"content-type", [])).split(b";")[0].strip().lower()
            if kind != b"application/json":
                raise Refusal(415, "send JSON, with the header Content-Type: application/json")
        length = b"".join(headers.get(b"content-length", []))
        if length.isdigit() and int(length[:20]) > limits.BODY_BYTES:
            raise _too_large()
        if self.api_key is not None and ((method, path) in WRITES or method == "DELETE"):
            scheme, _, key = b"".join(headers.get(b"authorization", [])).partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(), self.api_key):
                detail = "writing needs the API key: send the header Authorization: Bearer KEY"
                raise Refusal(401, detail, {"WWW-Authenticate": "Bearer"})


def _too_large() -> Refusal:
    return Refusal(413, f"the body may have at most {limits.BODY_BYTES:,} bytes; send less at a time")


async def _body(receive: Receive) -> bytes | None:
    """The whole body, None when the client went away."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limits.BODY_BYTES:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """What the app receives: the body that was read, then whatever comes."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _host_name(value: bytes) -> str:
    try:
        return (urlsplit(f"//{value.decode('ascii')}").hostname or "").lower()
    except ValueError:
        return ""


def _origin_name(value: bytes) -> str:
    try:
        return (urlsplit(value.decode("ascii")).hostname or "").lower()
    except ValueError:
        return ""
