"""Errors as AgentMail's clients read them: problem documents that say `name` and `message` too.

Its names go by the status. What a value or its form is wrong about is 400 there, which the native API answers with 422.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gateway.model.errors import GatewayError
from gateway.submit.errors import RateExceeded
from gateway.web import problems
from gateway.web.problems import Kind

NAMES: Final[Mapping[int, str]] = {
    400: "ValidationError", 401: "UnauthorizedError", 403: "ForbiddenError", 404: "NotFoundError",
    405: "MethodNotAllowedError", 409: "ConflictError", 413: "PayloadTooLargeError", 415: "UnsupportedMediaTypeError",
    422: "UnprocessableError", 429: "RateLimitError", 503: "UnavailableError",
}  # fmt: skip
FIELD: Final[dict[str, Any]] = {
    "type": "object", "required": ["path", "message"],
    "properties": {"path": {"type": "array", "items": {"type": "string"}}, "message": {"type": "string"}},
}  # fmt: skip
"""The schema of each of `errors`."""
_BAD_VALUE: Final = "invalid"
"""Code of what is wrong about a value."""


def told(
    kind: Kind, detail: str, errors: Sequence[Mapping[str, Any]] = (), headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:  # fmt: skip
    kind = _theirs(kind)
    if errors or kind.status == 400:
        more["errors"] = list(errors) or [{"path": [], "message": detail}]
    return problems.response(kind, detail, headers=headers, name=_name(kind.status), message=detail, **more)


def name_of(error: GatewayError) -> str:
    """What they call it."""
    return _name(_theirs(problems.kind_of(error)).status)


def as_theirs(response: Response) -> Response:
    """A problem document of the door, with their names."""
    document = json.loads(bytes(response.body))
    document |= {"name": _name(response.status_code), "message": document.get("detail", "")}
    kept = {name: value for name, value in response.headers.items() if name not in ("content-length", "content-type")}
    return JSONResponse(document, response.status_code, kept, media_type=problems.MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """What is not expected is told, and logged, by the handler of the application around it."""
    app.add_exception_handler(GatewayError, _expected)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http)


async def _expected(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    wait = {"Retry-After": "60"} if isinstance(error, RateExceeded) else None
    return told(problems.kind_of(error), str(error), headers=wait)


async def _not_valid(request: Request, error: Exception) -> Response:
    """Which field is wrong, and how. Never the value: it may be a secret."""
    assert isinstance(error, RequestValidationError)
    found = [
        {"path": [str(step) for step in one["loc"][1:]] or [str(one["loc"][0])], "message": str(one["msg"])}
        for one in error.errors()[:50]
    ]
    where = ".".join(found[0]["path"]) if found else "the request"
    return told(problems.kind_of_status(422), f"{where} is not valid", found)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return told(problems.kind_of_status(error.status_code), str(error.detail), headers=dict(error.headers or {}))


def _theirs(kind: Kind) -> Kind:
    return replace(kind, status=400) if kind.status == 422 and kind.code == _BAD_VALUE else kind


def _name(status: int) -> str:
    return NAMES.get(status, "Error")
