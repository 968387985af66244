"""What a session's client is told that it did not ask for, and when: with a command's end, in IDLE, by NOTIFY at once.

A command and this never run at the same time: in IDLE the client waits, and else NOTIFY's news are sent as a command of
their own, with the next command of the client behind them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError, MailboxGone

from .channel import Closed
from .contexts import Wanted, add_items
from .fetch import fetch_new
from .selected import Selected, flag_list
from .settings import IDLE_PAGE, TELL_COST, TELL_PAGE
from .view import Updates

if TYPE_CHECKING:
    from .session import Session

HIGHEST: Final = b"* OK [HIGHESTMODSEQ %d] Highest\r\n"
_RETRY_AFTER: Final = 1.0  # seconds until what failed for an outage is tried again


class Teller:
    """One session's."""

    __slots__ = ("_paused", "_session", "_task")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._task: asyncio.Task[None] | None = None  # NOTIFY's news in IDLE
        self._paused = False  # by an outage

    # -- with a command --------------------------------------------------------------------------------------------

    async def tell(self, *, expunge: bool, own: bool = False) -> None:
        """Send what the view has to say now: EXPUNGE, EXISTS, FETCH, in that order. Others get the loop between pages.

        Only where a command uses no numbers any more: what happens meanwhile may be told with the next page. With `own`
        the command itself has expunged, which is told even if NOTIFY asks for nothing. Closed.
        """
        session = self._session
        notify = session.notify
        new = notify is None or notify.tells_messages
        flags = notify is None or notify.tells_flags
        expunge = expunge and (new or own)
        while (selected := session.selected) is not None and not selected.view.quiet:
            known = selected.view.last_uid
            updates = selected.view.updates(expunge=expunge, new=new, flags=flags, limit=TELL_PAGE)
            self._send(selected, updates)
            if notify is not None and updates.exists is not None:
                view = selected.view
                notify.arrived(view.uids[bisect_right(view.uids, known, 0, view.length) : view.length])
            if not updates.more:
                break
            await session.channel.breathe()

    async def finish(self, *, expunge: bool) -> None:
        """All that is to be told at the end of a command. GatewayError, Closed."""
        session = self._session
        if session.metadata_news is not None and session.metadata_news.stale:
            await session.metadata_news.tell()
        if session.notify is not None:
            await session.notify.tell()
        selected = session.selected
        if selected is None:
            return
        if selected.shared.stale:
            await selected.shared.fresh()
        if not selected.view.quiet:
            await self.tell(expunge=expunge)
        fresh = session.notify is not None and bool(session.notify.fresh)
        wanted: Wanted = {}
        if selected.contexts and selected.contexts.behind(selected):
            wanted = await selected.contexts.follow(session, selected, fetches=not fresh)
        notify = session.notify
        if fresh and notify is not None and session.selected is selected:
            # RFC 5465 5.2: behind ADDTO, which has told what they match.
            uids, notify.fresh = notify.fresh, notify.fresh[:0]
            add_items(wanted, uids, notify.wishes.items)
            await fetch_new(session, selected, wanted)

    # -- without one -----------------------------------------------------------------------------------------------

    def news(self) -> None:
        """Something happened: let it be told if this client listens now."""
        session = self._session
        if session.idling or session.notify is not None:
            session.services.states.turns.soon(self)

    def tell_now(self) -> int:
        """A page of it in IDLE; the next one has another turn, unless the peer takes no more. See `turns.Listener`."""
        session = self._session
        channel = session.channel
        if channel.congested or channel.ended or self._paused:
            return 1
        if session.notify is not None:
            self._notify()
            return TELL_COST
        selected = session.selected
        if not session.idling or selected is None or selected.view.quiet:
            return 1
        if selected.contexts and selected.contexts.fetching is not None:
            return 1  # numbers must hold until they are sent; then there are news again
        updates = selected.view.updates(expunge=True, limit=IDLE_PAGE)
        self._send(selected, updates)
        channel.flush()
        if selected.contexts:
            selected.contexts.follow_soon(session, selected)
        if updates.more:
            self.news()
        return TELL_COST + len(updates.expunged) + len(updates.flags)

    def give_up(self) -> None:
        """See `turns.Listener`."""
        self._session.bye(b"Internal error")

    @property
    def _has_news(self) -> bool:
        """There is something that NOTIFY tells at once; never True for what it would not tell."""
        session = self._session
        notify, selected = session.notify, session.selected
        if notify is None:
            return False
        if notify.behind or (session.metadata_news is not None and session.metadata_news.stale):
            return True
        if selected is None or not notify.tells_messages:
            return False
        expunge = session.idling or not notify.wishes.delayed
        return selected.view.has_news(expunge=expunge, new=True, flags=notify.tells_flags)

    def _notify(self) -> None:
        session = self._session
        if not self._has_news:
            return
        if not session.idling:
            session.channel.run(self._unasked)
        elif self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._in_idle())

    async def _in_idle(self) -> None:
        try:
            await self._unasked()
        except Closed:
            pass
        finally:
            self._task = None
            self.news()  # what came meanwhile

    async def settle(self) -> None:
        """IDLE ends: its news end first."""
        if self._task is not None:
            await asyncio.wait((self._task,))
        selected = self._session.selected
        if selected is not None and selected.contexts and selected.contexts.fetching is not None:
            await selected.contexts.fetching

    async def _unasked(self) -> None:
        session = self._session
        notify = session.notify
        if notify is None:
            return
        try:
            await self.finish(expunge=session.idling or not notify.wishes.delayed)
            selected = session.selected
            if selected is not None and "CONDSTORE" in session.enabled:
                highest = selected.highest_to_tell(always_after_expunge="QRESYNC" in session.enabled)
                if highest is not None:
                    session.channel.send(HIGHEST % highest)
            session.channel.flush()
        except MailboxGone:
            session.mailbox_gone()
        except GatewayError:  # an outage
            self._paused = True
            asyncio.get_running_loop().call_later(_RETRY_AFTER, self._resume)

    def _resume(self) -> None:
        self._paused = False
        self.news()

    # -- responses ---------------------------------------------------------------------------------------------------

    def _send(self, selected: Selected, updates: Updates) -> None:
        session = self._session
        send, state, form = session.channel.send, selected.shared.state, session.form
        if updates.expunged:
            if selected.contexts:
                selected.contexts.leaving(session, updates)
            send(form.expunged(updates.expunged, updates.vanished))
            selected.expunges_told = True
        if updates.exists is not None:
            send(b"* %d EXISTS\r\n" % updates.exists)
        self.announce_keywords()
        if updates.flags:
            send(form.changed(updates.flags, state.flags_text))
            selected.modseq_shown = True

    def announce_keywords(self) -> None:
        """`* FLAGS` again once the mailbox has new keywords, before the first response that shows one."""
        selected = self._session.selected
        if selected is None or len(selected.shared.state.keywords) == selected.keywords_told:
            return
        state = selected.shared.state
        selected.keywords_told = len(state.keywords)
        flags = flag_list(state)
        self._session.channel.send(b"* FLAGS (%b)\r\n" % flags)
        if not selected.read_only:
            self._session.channel.send(b"* OK [PERMANENTFLAGS (%b \\*)] Flags permitted\r\n" % flags)
