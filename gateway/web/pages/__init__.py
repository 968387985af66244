"""The dashboard: pages made here and sent whole; what scripts there are only spare a click or a reload."""

from __future__ import annotations

from fastapi import APIRouter

from . import compose, connectors, health, home, inboxes, login, mail, queue, static_files


def routers() -> list[APIRouter]:
    return [
        static_files.router, login.router, home.router, inboxes.router, mail.router, compose.router, connectors.router,
        queue.router, health.router,
    ]
