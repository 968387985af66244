"""What a session's client is told of the selected mailbox, and when: with a command's end, or at once in IDLE."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .selected import Selected, flag_list
from .settings import IDLE_PAGE, TELL_PAGE
from .view import Updates

if TYPE_CHECKING:
    from .session import Session


class Teller:
    """One session's."""

    __slots__ = ("_session", "_telling")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._telling = False  # the next page for an idling session has its turn

    async def tell(self, *, expunge: bool) -> None:
        """Send what the view has to say now: EXPUNGE, EXISTS, FETCH, in that order. Others get the loop between pages.

        Only where a command uses no numbers any more: what happens meanwhile may be told with the next page. Closed.
        """
        session = self._session
        while (selected := session.selected) is not None and not selected.view.quiet:
            updates = selected.view.updates(expunge=expunge, limit=TELL_PAGE)
            self._send(selected, updates)
            if not updates.more:
                break
            await session.channel.breathe()

    def tell_idling(self) -> None:
        """One page of the same in IDLE; the next one in a later turn of the loop, unless the peer takes no more."""
        session = self._session
        selected, channel = session.selected, session.channel
        if not session.idling or self._telling or selected is None or channel.congested or selected.view.quiet:
            return
        updates = selected.view.updates(expunge=True, limit=IDLE_PAGE)
        self._send(selected, updates)
        channel.flush()
        if selected.contexts:
            selected.contexts.follow_soon(session, selected)
        if updates.more:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell_on)

    def _tell_on(self) -> None:
        self._telling = False
        self.tell_idling()

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
