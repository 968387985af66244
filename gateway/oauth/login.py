"""One login from beginning to end for somebody at a terminal, over whatever `Logins` are at hand.

The command line may talk to a running server: then the calls of `LoginCalls` go over its control socket, and only the
browser's way back (a loopback port) is in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .errors import LoginRefused, Pending, Transient
from .logins import LOGIN_S, Begun, DeviceBegun, Wanted
from .loopback import Loopback
from .providers import Way

G = TypeVar("G", covariant=True)



class LoginCalls(Protocol[G]):
    """`Logins`, or its operations on a server. G: what a grant is told as."""

    async def loopback_host(self, app: str) -> str: ...

    async def begin(self, wanted: Wanted, *, redirect: str | None = None) -> Begun: ...

    async def finish(self, pasted: str, *, state: str | None = None) -> G: ...

    async def device_begin(self, wanted: Wanted) -> DeviceBegun: ...

    async def device_finish(self, handle: str) -> G: ...

    async def own(self, wanted: Wanted, way: Way) -> G: ...


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What the person is shown and asked. All of it is safe to show; nothing of it belongs into a log."""

    show_url: Callable[[str], None]
    """Open this address in a browser."""
    show_code: Callable[[str, str, int], None]
    """(address, code, until when in Unix seconds): type the code there."""
    ask_pasted: Callable[[], Awaitable[str]] | None
    """The address that the browser ended at; None: nobody can be asked, the browser is on this machine."""
    tell: Callable[[str], None]
    """What is happening, one line."""


class Login(Generic[G]):
    """`run` it once."""

    def __init__(
        self, calls: LoginCalls[G], dialogue: Dialogue, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._calls = calls
        self._dialogue = dialogue
        self._sleep = sleep

    async def run(self, wanted: Wanted, way: Way = Way.CODE, *, listen: bool = True) -> G:
        """The grant. `listen`: wait for the browser on this machine too; else only for a pasted address.

        OAuthError, NotFound, InvalidRequest, ConfigError.
        """
        if way is Way.CODE:
            return await self._code(wanted, listen)
        if way is Way.DEVICE:
            return await self._device(wanted)
        self._dialogue.tell("Asking the provider for a token")
        return await self._calls.own(wanted, way)

    async def _code(self, wanted: Wanted, listen: bool) -> G:
        async with AsyncExitStack() as stack:
            loopback: Loopback | None = None
            if listen:
                loopback = Loopback(await self._calls.loopback_host(wanted.app))
                try:
                    await loopback.start()
                except OSError:
                    loopback = None
                    self._dialogue.tell("No port is free here for the browser: paste the address that it ends at")
                else:
                    stack.push_async_callback(loopback.close)
            begun = await self._calls.begin(wanted, redirect=loopback.redirect if loopback is not None else None)
            self._dialogue.show_url(begun.url)
            if loopback is not None and begun.redirect != loopback.redirect:
                loopback = None  # the application has an address of its own to come back to
            try:
                async with asyncio.timeout(LOGIN_S):
                    return await self._finished(begun, loopback)
            except TimeoutError:
                raise LoginRefused("Nobody has logged in in time: begin again", code="expired") from None

    async def _finished(self, begun: Begun, loopback: Loopback | None) -> G:
        """Whichever comes first, the browser or a pasted address. One that is no address is asked for again."""
        browser = asyncio.ensure_future(loopback.wait(begun.state)) if loopback is not None else None
        try:
            while True:
                pasted = await self._either(browser)
                self._dialogue.tell("The login is back; asking the provider for tokens")
                try:
                    return await self._calls.finish(pasted, state=begun.state)
                except LoginRefused as error:
                    if error.code != "pasted" or self._dialogue.ask_pasted is None:
                        raise
                    self._dialogue.tell(str(error))
        finally:
            if browser is not None:
                browser.cancel()

    async def _either(self, browser: asyncio.Future[str] | None) -> str:
        ask = self._dialogue.ask_pasted
        if ask is None:
            if browser is None:
                raise LoginRefused("Nobody can paste an address here, and no browser can come back", code="pasted")
            return await browser
        if browser is None:
            return await ask()
        typed = asyncio.ensure_future(ask())
        try:
            done, _ = await asyncio.wait({typed, browser}, return_when=asyncio.FIRST_COMPLETED)
            return (browser if browser in done else typed).result()
        finally:
            typed.cancel()

    async def _device(self, wanted: Wanted) -> G:
        begun = await self._calls.device_begin(wanted)
        self._dialogue.show_code(begun.complete_uri or begun.uri, begun.user_code, begun.expires_at)
        interval = float(begun.interval)
        while True:
            await self._sleep(interval)
            try:
                return await self._calls.device_finish(begun.handle)
            except Pending as error:
                interval += 5.0 if error.slower else 0.0
            except Transient as error:
                interval = max(min(2 * interval, 60.0), error.retry_after or 0.0)  # RFC 8628 3.5
                self._dialogue.tell(str(error))
