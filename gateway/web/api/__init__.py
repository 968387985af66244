"""The native API, /api/v1: a module a noun."""

from __future__ import annotations

from fastapi import APIRouter

from . import connector_sync, connectors, domains, inboxes, keys, me, messages, oauth, queue, remote, sending


def routers() -> list[APIRouter]:
    return [
        me.router, inboxes.router, messages.router, keys.router, domains.router, queue.router, sending.router,
        # Events before single connectors: their paths would be names of such.
        connector_sync.router, connectors.router, remote.router, oauth.router, oauth.browser,
    ]
