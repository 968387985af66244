"""The HTTP application: routers, and how whatever goes wrong is told."""

from __future__ import annotations

import secrets
from typing import Any, Final

import structlog
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.model.errors import GatewayError

from . import agentmail, errors_page, mailslurp, pages, problems
from .agentmail import downloads
from .api import routers
from .api.known import known_parameters
from .described import FIELD, Described, problem_schema
from .guard import KEYED, OPEN, Guard
from .pages.shell import NotLoggedIn, back, page
from .services import WebServices
from .setup.api import router as setup_router
from .setup.routes import routes as setup_routes

log = structlog.get_logger(__name__)

VERSION: Final = "1"
_OPENAPI: Final = "/api/v1/openapi.json"
_NO_JSON: Final = {"field": "body", "reason": "This is no JSON in UTF-8"}


def application(services: WebServices) -> Guard:
    """The ASGI application with its guard around it."""
    app = Described(
        title="Mail gateway", version=VERSION, openapi_url=_OPENAPI, problem=problem_schema(FIELD),
        open_paths=OPEN | {f"{downloads.PATH}{{ticket}}"},
    )  # fmt: skip
    app.state.services = services
    for router in (*routers(), setup_router):  # programs of others may send more than we know
        app.include_router(router, dependencies=[Depends(known_parameters)], responses={422: {}})
    for router in (*pages.routers(), errors_page.router):
        app.include_router(router)
    app.include_router(mailslurp.router())
    app.include_router(downloads.router)
    app.mount(agentmail.PREFIX, agentmail.application(services, _defect))
    app.router.routes.extend(setup_routes())
    app.add_exception_handler(GatewayError, _expected)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)
    return Guard(app, services)


async def _expected(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    if isinstance(error, NotLoggedIn):
        return back("/login")
    if _of_a_person(request):
        kind = problems.kind_of(error)
        return _told(request, kind, str(error))
    return problems.of_error(error)


def _of_a_person(request: Request) -> bool:
    """Who reads the answer: a browser asks for HTML first of all."""
    return not request.url.path.startswith(KEYED) and "text/html" in request.headers.get("accept", "")


def _told(request: Request, kind: problems.Kind, detail: str) -> Response:
    return page(
        "problem.html", title=kind.title, status=kind.status, who=request.scope["state"].get("caller"),
        detail=detail, fix=kind.fix,
    )  # fmt: skip


async def _not_valid(request: Request, error: Exception) -> Response:
    """Which field is wrong, and how. Never the value: it may be a secret."""
    assert isinstance(error, RequestValidationError)
    found = [
        {"field": ".".join(str(step) for step in one["loc"]), "reason": str(one["msg"])} for one in error.errors()[:50]
    ]
    where = found[0]["field"] if found else "the request"
    return problems.response(problems.kind_of_status(422), f"{where} is not valid", found)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = problems.kind_of_status(error.status_code)
    if _of_a_person(request):
        return _told(request, kind, str(error.detail))
    if error.status_code == 400 and isinstance(error.__cause__, (UnicodeDecodeError, RecursionError)):
        # FastAPI's own words for JSON that is no text, or nests without end.
        return problems.response(problems.kind_of_status(422), "body is not valid", [_NO_JSON])
    answer = problems.response(kind, str(error.detail), headers=dict(error.headers or {}))
    # What leads to nothing below it, a line end in a path for one, comes here.
    return agentmail.as_theirs(answer) if request.url.path.startswith(f"{agentmail.PREFIX}/") else answer


async def _defect(request: Request, error: Exception) -> Response:
    """The last resort: nobody outside learns more than an id that the log has too."""
    incident = secrets.token_hex(6)
    log.error("web.request.broken", incident=incident, path=request.scope.get("path"), exc_info=error)
    services: WebServices = request.app.state.services
    services.metrics.count("web_defects_total")
    kind = problems.kind_of_status(500)
    more: dict[str, Any] = {"incident": incident}
    return problems.response(kind, f"Something here is broken; incident {incident}", **more)
