"""Refusals as RFC 9457 problem JSON: what is wrong and what to do, never a path, a stack trace or a statement."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from textrec.errors import (
    ArgumentError,
    CapabilityError,
    ModelFolderError,
    TextrecError,
    UnknownItemError,
    UnknownUserError,
)

__all__ = ["MEDIA_TYPE", "Refusal", "install", "problem"]

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger("textrec.serve")


class Refusal(Exception):
    """A request that is answered with a problem.

    Args:
        status: the HTTP status.
        detail: one sentence for the caller.
        headers: more headers, such as Retry-After.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: list[dict[str, str]] | None = None
) -> Response:
    """An `application/problem+json` answer."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        content["errors"] = errors
    return Response(json.dumps(content), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(TextrecError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OperationalError, _no_database)
    app.add_exception_handler(Exception, _bug)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return problem(error.status, error.detail, headers=error.headers)


def _ours(request: Request, error: Exception) -> Response:
    if isinstance(error, UnknownUserError | UnknownItemError):
        return problem(404, str(error).partition(";")[0])
    if isinstance(error, CapabilityError):
        return problem(409, str(error))
    if isinstance(error, ArgumentError):
        return problem(422, str(error))
    if isinstance(error, ModelFolderError):
        log.error("reload failed: %s", error)
        return problem(409, "the model folder cannot be used; the model that was there goes on, the log says why")
    return _bug(request, error)


def _no_database(request: Request, error: Exception) -> Response:
    log.error("the database does not answer: %s %s", request.method, request.url.path, exc_info=error)
    return problem(503, "the database does not answer; send it again", headers={"Retry-After": "5"})


SHOWN = 10


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(_place(fault["loc"])), "message": _printable(fault["msg"])}
        for fault in error.errors()[:SHOWN]
    ]
    first = errors[0] if errors else {"field": "body", "message": "not valid"}
    return problem(422, f"{first['field']}: {first['message']}", errors=errors)


def _place(parts: Iterable[Any]) -> list[str]:
    """Where a fault is, without the names of a union's members."""
    return [_printable(part) for part in parts if not (isinstance(part, str) and part.startswith("["))]


def _printable(part: Any) -> str:
    return str(part)[:200].encode("utf-8", "replace").decode("utf-8")


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=error.headers)


def _bug(request: Request, error: Exception) -> Response:
    log.error("request failed: %s %s", request.method, request.url.path, exc_info=error)
    return problem(500, "the service failed to answer this request; its log says why")
