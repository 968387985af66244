"""AgentMail's API below /agentmail, as its SDKs use it: another spelling of what `access` does, a module a noun.

It is an application of its own inside ours: its errors have other names, and its operations a document of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway.web.described import Described, problem_schema
from gateway.web.services import WebServices

from . import (
    absent,
    domains,
    drafts,
    errors,
    inboxes,
    keys,
    lists,
    messages,
    metrics,
    organization,
    pods,
    sending,
    socket,
    threads,
    webhooks,
)
from .errors import as_theirs

__all__ = ["DOCUMENT", "PREFIX", "SOCKET", "application", "as_theirs"]

PREFIX: Final = "/agentmail"
DOCUMENT: Final = "/openapi.json"
"""Below PREFIX: the OpenAPI document."""
SOCKET: Final = "/v0"
"""Below PREFIX: where a WebSocket is, which finds out by itself who comes."""


def application(services: WebServices, defect: Callable[[Request, Exception], Awaitable[Response]]) -> FastAPI:
    """To be mounted at PREFIX. `defect`: how what nobody expects is told."""
    app = Described(
        title="AgentMail's API", openapi_url=DOCUMENT, problem=problem_schema(errors.FIELD, "name", "message"),
        wrong=400,
    )
    app.state.services = services
    for router in (
        organization.router, metrics.router, inboxes.router, messages.router, sending.router, threads.router,
        drafts.router, keys.router, lists.router, pods.router, domains.router,
        absent.router,  # paths below some of those behind it, which would take them for ids
        webhooks.router, socket.router,
    ):
        app.include_router(router, prefix="/v0")
    errors.install(app)
    app.add_exception_handler(Exception, defect)
    return app
