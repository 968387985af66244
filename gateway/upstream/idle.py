"""IDLE (RFC 2177): waits until the server has something to say, time is over, or somebody needs the connection."""

from __future__ import annotations

import asyncio

from gateway.outbound.failure import Failure

from .classify import Step
from .dialogue import Dialogue
from .errors import Refused


class Idling:
    """The IDLE of one connection, and how to end it early."""

    __slots__ = ("_dialogue", "_stop", "active")

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._stop = False
        self.active = False

    def interrupt(self) -> None:
        """Ends the IDLE that runs, or else the next one before it begins."""
        self._stop = True
        if self.active:
            self._dialogue.link.wake()

    async def idle(self, seconds: float) -> bool:
        """True: there is news. Refused: the server does not want to (no DONE was sent). Closed."""
        dialogue, loop = self._dialogue, asyncio.get_running_loop()
        if not dialogue.has("IDLE"):
            raise Refused(Failure.REFUSED_COMMAND, "The server does not offer IDLE", bad=True)
        if self._take_stop():
            return dialogue.mailbox.has_news
        async with dialogue.exchange(dialogue.times.command) as exchange:
            if dialogue.mailbox.has_news:  # it came before
                return True
            await exchange.send([b"IDLE"], Step.COMMAND)
            await exchange.permission(Step.COMMAND)
            self.active = True
            try:
                await self._wait(loop.time() + seconds)
            finally:
                self.active = False
            self._take_stop()
            exchange.patience.renew(dialogue.times.idle_check)
            if dialogue.transcript is not None:
                dialogue.transcript.sent(b"DONE")
            dialogue.link.write(b"DONE\r\n")
            await exchange.answer()
        return dialogue.mailbox.has_news

    def _take_stop(self) -> bool:
        stop, self._stop = self._stop, False
        return stop

    async def _wait(self, until: float) -> None:
        dialogue, loop = self._dialogue, asyncio.get_running_loop()
        while not self._stop and not dialogue.mailbox.has_news and not dialogue.said_bye:
            event = dialogue.waiting()
            if event is not None:
                await dialogue.settle_idle(event)
            elif loop.time() >= until:
                return
            else:
                await dialogue.pause(until)
