"""The native API, /api/v1: a module a noun."""

from __future__ import annotations

from fastapi import APIRouter

from . import inboxes, keys, me


def routers() -> list[APIRouter]:
    return [me.router, inboxes.router, keys.router]
