"""The dashboard: pages made here and sent whole; what scripts there are only spare a click or a reload."""

from __future__ import annotations

from fastapi import APIRouter

from . import (
    acting,
    charts,
    compose,
    connectors,
    health,
    home,
    inboxes,
    keys,
    live,
    login,
    mail,
    passkeys,
    provider_login,
    queue,
    static_files,
)


def routers() -> list[APIRouter]:
    pages = (
        static_files, login, home, charts, inboxes, mail, acting, compose, live, connectors, provider_login, queue,
        keys, health, passkeys,
    )  # fmt: skip
    return [page.router for page in pages]
