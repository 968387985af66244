"""A session's one timer: a login that takes too long, a client that is silent for too long, signs of life in IDLE."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from .services import Cancellable

if TYPE_CHECKING:
    from .session import Session


class Timers:
    """What it ends it ends by `Session.bye`."""

    __slots__ = ("_session", "_timer", "last_active")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._timer: Cancellable | None = None
        self.last_active = 0.0
        """When the client was last heard of, by the loop's clock."""

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def expect_login(self) -> None:
        """Login must follow within `login_timeout`."""
        self._arm(self._session.services.settings.login_timeout, self._login_too_late)

    def logged_in(self) -> None:
        """From now on silence is measured."""
        self.heard()
        self._arm(self._session.services.settings.idle_timeout, self._maybe_idle)

    def heard(self) -> None:
        """The client gives a sign of life."""
        self.last_active = asyncio.get_running_loop().time()

    def begin_idle(self) -> None:
        self._arm(self._session.services.settings.keepalive, self._keep_alive)

    def end_idle(self) -> None:
        self._arm(self._session.services.settings.idle_timeout, self._maybe_idle)

    def _arm(self, delay: float, action: Callable[[], None]) -> None:
        if self._session.channel.ended:
            return
        if self._timer is not None:
            self._timer.cancel()
        call_later = self._session.services.call_later or asyncio.get_running_loop().call_later
        self._timer = call_later(delay, action)

    def _login_too_late(self) -> None:
        self._timer = None
        self._session.bye(b"Login took too long")

    def _maybe_idle(self) -> None:
        """Looked at when the timer fires, not at each command: that keeps a NOOP free of timer work."""
        self._timer = None
        timeout = self._session.services.settings.idle_timeout
        quiet = asyncio.get_running_loop().time() - self.last_active
        working = not self._session.channel.at_rest  # an APPEND whose octets never come is no work of ours
        if working or quiet < timeout:
            self._arm(timeout if working else timeout - quiet, self._maybe_idle)
        else:
            self._session.bye(b"Autologout; idle for too long")

    def _keep_alive(self) -> None:
        channel = self._session.channel
        if not channel.congested:  # a peer that does not read is the transport's write timeout's case
            channel.send(b"* OK Still here\r\n")
            channel.flush()
        self._arm(self._session.services.settings.keepalive, self._keep_alive)
