"""Telling sessions that sent no command: when one mailbox has many of them, some get their news a turn of the loop."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from .settings import TELL_TURN

log = structlog.get_logger(__name__)


class Listener(Protocol):
    def tell_now(self) -> int:
        """Tell a page of what is new; how much work that was, in changes told."""

    def give_up(self) -> None:
        """It failed by a defect of ours, which is in the log."""


class Turns:
    """Who has news waiting, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[Listener, None] = {}
        self._scheduled = False

    def soon(self, listener: Listener) -> None:
        """Let `listener` tell in one of the next turns; once, however often this is called before."""
        self._waiting[listener] = None
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        work = 0
        waiting = self._waiting
        while waiting and work < TELL_TURN:
            listener = next(iter(waiting))
            del waiting[listener]
            try:
                work += listener.tell_now()
            except Exception:  # the others are to be told all the same
                log.exception("imap.telling.broken")
                listener.give_up()
        self._scheduled = bool(waiting)
        if waiting:
            asyncio.get_running_loop().call_soon(self._turn)
