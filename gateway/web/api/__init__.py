"""The native API, /api/v1: a module a noun."""

from __future__ import annotations

from fastapi import APIRouter

from . import (
    connector_sync,
    connectors,
    domains,
    drafts,
    events,
    inboxes,
    keys,
    mailboxes,
    me,
    message_changes,
    messages,
    oauth,
    queue,
    remote,
    sending,
    submissions,
    threads,
    wait,
    webhooks,
)


def routers() -> list[APIRouter]:
    return [
        me.router, inboxes.router, messages.router, message_changes.router,
        mailboxes.router, threads.router, keys.router, domains.router, queue.router, sending.router,
        drafts.router, submissions.router,
        events.router, wait.router, webhooks.router,
        # Events before single connectors: their paths would be names of such.
        connector_sync.router, connectors.router, remote.router, oauth.router,
    ]
