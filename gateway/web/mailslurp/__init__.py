"""MailSlurp's API below /mailslurp, for programs written for it: connectors, inboxes, emails, waiting, sending.

A module a controller; what is done is done by the same functions as for the native API. Ids: see `ids`.
"""

from __future__ import annotations

from fastapi import APIRouter

from . import connectors, emails, imap, inboxes, runs, sending, sides, tools, waits
from .parts import PREFIX


def router() -> APIRouter:
    """All controllers. Literal paths stand before those with an id in their place."""
    whole = APIRouter(prefix=PREFIX)
    for one in (
        runs.router, connectors.router, sides.router, waits.router, emails.router, inboxes.router, sending.router,
        imap.router, tools.router,
    ):  # fmt: skip
        whole.include_router(one)
    return whole
