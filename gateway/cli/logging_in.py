"""Logging in at a provider from a terminal: the browser's way back is here, all else is the server's."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click

from gateway.control.client import Caller

from . import interruptible
from .runtime import Runtime

Json = Any

WAYS: Final = {"browser": "code", "device": "device", "client": "client_credentials", "service": "service_account"}
"""What people call a way -> `oauth.providers.Way`."""


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """For which account, by which application. `way`: of `oauth.providers.Way`; `listen`: the browser is here."""

    app: str
    account: str
    way: str = "code"
    legs: tuple[str, ...] = ("imap", "smtp")
    shared: tuple[str, ...] = ()
    grant: int | None = None
    listen: bool = True


def log_in(runtime: Runtime, options: LoginOptions) -> Json:
    """The grant, as `oauth.grant.list` shows it. Talks to the person; errors are the operations'."""
    from gateway.app.admin import open_caller

    async def work() -> Json:
        from gateway.oauth.login import Login
        from gateway.oauth.logins import Wanted
        from gateway.oauth.providers import Leg, Way

        wanted = Wanted(
            options.app, options.account, frozenset(Leg(leg) for leg in options.legs), options.shared, options.grant
        )
        async with open_caller(runtime.config, before_local=runtime.here) as caller:
            login = Login(_Calls(caller), _dialogue(options.listen))
            return await login.run(wanted, Way(options.way), listen=options.listen)

    return interruptible.run(work())


class _Calls:
    """`LoginCalls` over the operations of whoever holds the store."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def loopback_host(self, app: str) -> str:
        found: str = await self._caller.call("oauth.login.host", {"app": app})
        return found

    async def begin(self, wanted: Any, *, redirect: str | None = None) -> Any:
        from gateway.oauth.logins import Begun

        return Begun(**await self._caller.call("oauth.login.begin", {**_params(wanted), "redirect": redirect}))

    async def finish(self, pasted: str, *, state: str | None = None) -> Json:
        from gateway.oauth.errors import LoginRefused

        told = await self._caller.call("oauth.login.finish", {"pasted": pasted, "state": state})
        if "again" in told:
            raise LoginRefused(told["again"], code="pasted")
        return told["grant"]

    async def device_begin(self, wanted: Any) -> Any:
        from gateway.oauth.logins import DeviceBegun

        return DeviceBegun(**await self._caller.call("oauth.login.device", _params(wanted)))

    async def device_finish(self, handle: str) -> Json:
        from gateway.oauth.errors import Pending, Transient
        from gateway.outbound.failure import Failure

        told = await self._caller.call("oauth.login.poll", {"handle": handle})
        if "pending" in told:
            raise Pending(slower=told["slower"])
        if "trouble" in told:
            raise Transient(Failure(told["failure"]), told["trouble"], retry_after=told["retry_after"])
        return told["grant"]

    async def own(self, wanted: Any, way: Any) -> Json:
        params = {"app": wanted.app, "account": wanted.account, "way": str(way), "grant": wanted.grant_id}
        return (await self._caller.call("oauth.login.own", params))["grant"]


def _params(wanted: Any) -> dict[str, Json]:
    return {
        "app": wanted.app, "account": wanted.account, "legs": sorted(wanted.legs), "shared": list(wanted.shared),
        "grant": wanted.grant_id,
    }  # fmt: skip


def _dialogue(listen: bool) -> Any:
    """On standard error, for the result is on standard output. Without a terminal nobody is asked."""
    from gateway.oauth.login import Dialogue

    interactive = sys.stdin.isatty()

    def say(text: str) -> None:
        click.echo(text, err=True)

    def show_url(url: str) -> None:
        say(f"Open this address in a browser and log in:\n\n  {url}\n")
        if interactive:
            elsewhere = "If the browser is on another machine, its last" if listen else "Its last"
            say(f"{elsewhere} page cannot be shown; that is as it should be. Paste the address of that page here:")

    def show_code(uri: str, code: str, until: int) -> None:
        say(f"Open {uri} and type {code} (until {datetime.fromtimestamp(until):%H:%M}).")

    return Dialogue(show_url, show_code, _line if interactive or not listen else None, say)


async def _line() -> str:
    """A line of standard input. LoginRefused at its end.

    From a terminal without a thread: one that still waits when the browser was faster could not be ended.
    """
    from gateway.oauth.errors import LoginRefused

    if sys.stdin.isatty():
        text = await _typed(sys.stdin.fileno())
    else:
        text = await asyncio.to_thread(sys.stdin.readline)
    if not text:
        raise LoginRefused("Nothing was pasted", code="end")
    return text


async def _typed(handle: int) -> str:
    """What a terminal gives, until the end of a line; it hands over whole lines."""
    loop = asyncio.get_running_loop()
    octets = bytearray()
    while True:
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(handle, _settle, ready)
        try:
            await ready
        finally:
            loop.remove_reader(handle)
        piece = os.read(handle, 65_536)
        octets += piece
        if not piece or octets.endswith(b"\n"):
            return octets.decode("utf-8", "replace")


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
