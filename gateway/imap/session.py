"""One client's session: its states, what it has selected and switched on, its beginning and its end.

Knows no transport: a `Peer` is given, octets come by `channel`. Commands are run by `dispatch`, what the client is told
goes through `teller`. The commands themselves are in the modules that `rules.RULES` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.model.errors import MailboxGone
from gateway.model.permissions import Principal
from gateway.wire.events import BEFORE_LOGIN, after_login

from . import capabilities
from .channel import Channel, Closed
from .dispatch import Dispatcher
from .mailbox_state import Delta
from .metadata_news import ENABLED_BY, MetadataNews
from .notify import Notify
from .peer import Peer
from .replies import no
from .rules import State
from .selected import Selected
from .services import ImapServices, Watched
from .session_commands import I_DEFAULT
from .teller import HIGHEST, Teller
from .telling import Form, form_of
from .timers import Timers

GONE: Final = b"* BYE Mailbox has been deleted\r\n"


class Session:
    """One client. Create it when the connection is ready, call `greet`, then feed `channel`."""

    __slots__ = (
        "__weakref__",
        "_dispatcher",
        "_watched",
        "can_start_tls",
        "channel",
        "deleting",
        "enabled",
        "end_after_reply",
        "failures",
        "idling",
        "language",
        "metadata_news",
        "notify",
        "principal",
        "selected",
        "services",
        "state",
        "teller",
        "timers",
    )

    def __init__(self, services: ImapServices, peer: Peer, *, can_start_tls: bool = False) -> None:
        self.services = services
        self.timers = Timers(self)
        self.teller = Teller(self)
        self._dispatcher = Dispatcher(self)
        self.channel = Channel(peer, BEFORE_LOGIN, self._dispatcher.serve)
        self.channel.between_pages = self._dispatcher.progress
        self.can_start_tls = can_start_tls
        self.state = State.NOT_AUTHENTICATED
        self.principal: Principal | None = None
        self.selected: Selected | None = None
        self.idling = False
        self.deleting = False
        """This session runs DELETE: should its own mailbox go, it is only unselected."""
        self.enabled: set[str] = set()
        """What ENABLE has switched on, or a command that implies it (RFC 5161, RFC 7162 3.1): see `switch_on`."""
        self.metadata_news: MetadataNews | None = None
        """Tells of annotations that others change, once ENABLE METADATA or NOTIFY asked for it."""
        self.notify: Notify | None = None
        """What the last NOTIFY asked for (RFC 5465); None before the first one."""
        self.language = I_DEFAULT
        """What LANGUAGE chose (RFC 5255)."""
        self.end_after_reply = False
        """BYE follows the running command's reply."""
        self.failures = 0
        """Failed logins on this connection."""
        self._watched: Watched | None = None

    # -- begin and end -------------------------------------------------------------------------------------------

    def greet(self) -> None:
        """RFC 3501 7.1.1, with the whole capability list. Login must follow within `login_timeout`."""
        self.timers.expect_login()
        product = self.services.settings.product.encode("ascii")
        self.channel.send(b"* OK [CAPABILITY %b] %b ready\r\n" % (self.capability, product))
        self.channel.flush()

    @property
    def capability(self) -> bytes:
        peer = self.channel.peer
        return capabilities.listed(
            self.services.settings,
            secure=peer.secure,
            can_start_tls=self.can_start_tls,
            can_bind=peer.can_bind,
            logged_in=self.principal is not None,
        )

    def end(self, reason: str) -> None:
        """End the session from outside (key revoked, inbox deleted, shutdown): BYE with `reason`, at once."""
        self.bye(no(reason).text)

    def bye(self, text: bytes) -> None:
        self.state = State.LOGOUT
        self.channel.end(b"* BYE %b\r\n" % text)
        self._release()

    def leave(self) -> None:
        """LOGOUT: the connection ends once the running command's reply is sent."""
        self._release()
        self.state = State.LOGOUT

    def connection_lost(self) -> None:
        """The transport is gone; a running command finds out at its next wait."""
        self.state = State.LOGOUT
        self.channel.connection_lost()
        self._release()

    def _release(self) -> None:
        self.unselect()
        self.set_notify(None)
        if self.metadata_news is not None:
            self.metadata_news.close()
            self.metadata_news = None
        if self._watched is not None:
            self._watched.close()
            self._watched = None
        self.timers.close()

    def logged_in(self, principal: Principal) -> None:
        """Authenticated: larger limits, the long timer, and an ear for the end of the key. LimitReached."""
        if self.services.sessions is not None:
            self._watched = self.services.sessions.add(principal, self.end)
        self.principal = principal
        self.state = State.AUTHENTICATED
        self.channel.reader.set_limits(after_login(self.services.settings.max_message_size))
        self._dispatcher.forgive()
        self.timers.logged_in()

    def logged_out(self) -> None:
        """UNAUTHENTICATE (RFC 8437): what a login and the commands after it have left goes, but for its failures."""
        self._release()
        self.principal = None
        self.enabled.clear()
        self.language = I_DEFAULT
        self.state = State.NOT_AUTHENTICATED
        self.channel.reader.set_limits(BEFORE_LOGIN)
        self.timers.expect_login()

    def require_principal(self) -> Principal:
        assert self.principal is not None, "the table of states lets nobody here before login"
        return self.principal

    def require_selected(self) -> Selected:
        """The selected mailbox; MailboxGone when it was deleted while the command ran."""
        if self.selected is None:
            raise MailboxGone("Mailbox has been deleted")
        return self.selected

    def switch_on(self, names: Iterable[str]) -> None:
        """ENABLE, and each command that implies one (RFC 7162 3.1 "CONDSTORE enabling commands").

        What is on stays on until the connection ends. The first that switches CONDSTORE on while a mailbox is selected
        is told the HIGHESTMODSEQ from which its MODSEQs count.
        """
        had_modseqs = "CONDSTORE" in self.enabled
        self.enabled.update(names)
        if self.metadata_news is None and not ENABLED_BY.isdisjoint(self.enabled):
            self.metadata_news = MetadataNews(self)
        selected = self.selected
        if selected is not None and not had_modseqs and "CONDSTORE" in self.enabled:
            selected.view.tell_modseqs()
            self.channel.send(HIGHEST % selected.view.told_modseq)

    def set_notify(self, notify: Notify | None) -> None:
        """From now on `notify` says what is told (RFC 5465); it has begun already."""
        if self.notify is not None:
            self.notify.close()
        self.notify = notify
        self.channel.rested = None if notify is None else self.teller.news
        if notify is not None and notify.wants_any_entries and self.metadata_news is None:
            self.metadata_news = MetadataNews(self)

    def wants_entries(self, mailbox: str) -> bool:
        """Whether changed annotations of `mailbox`, or with "" of the server, are told (RFC 5464 4.4.2)."""
        if self.notify is not None:
            return self.notify.wants_entries(mailbox)
        return not mailbox or "METADATA" in self.enabled

    @property
    def form(self) -> Form:
        return form_of(self.enabled)

    def begin_idle(self) -> None:
        """From now on what happens is told at once; first what has been waiting."""
        self.idling = True
        self.timers.begin_idle()
        self.teller.news()
        if self.metadata_news is not None:
            self.metadata_news.tell_idling()

    async def end_idle(self) -> None:
        """Nothing is told by itself any more, but for what NOTIFY has begun to tell."""
        self.idling = False
        self.timers.end_idle()
        await self.teller.settle()

    # -- the selected mailbox ------------------------------------------------------------------------------------

    def select(self, selected: Selected) -> None:
        if self.channel.ended:
            raise Closed  # ended while the mailbox was loading: nobody would ever unwatch it
        if "CONDSTORE" in self.enabled:
            selected.view.tell_modseqs()
        self.selected = selected
        self.state = State.SELECTED
        self.services.states.watch(selected.shared, self)

    def unselect(self) -> None:
        selected = self.selected
        if selected is not None:
            self.selected = None
            if self.notify is not None:
                self.notify.deselected()
            self.services.states.unwatch(selected.shared, self)
            if self.state is State.SELECTED:
                self.state = State.AUTHENTICATED

    def mailbox_changed(self, delta: Delta) -> None:
        """From the registry, right after the state changed."""
        if self.selected is None:
            return
        self.selected.view.note(delta)
        self.teller.news()

    def mailbox_gone(self) -> None:
        if self.deleting:
            self.unselect()
            return
        # RFC 2180 3.3: the session of a deleted mailbox ends; there is no response that unselects.
        self.state = State.LOGOUT
        self.channel.end(GONE)
        self._release()

    def writable(self) -> None:
        """The transport takes octets again; an idling session is told what it missed meanwhile."""
        self.channel.resume()
        self.teller.news()

    # -- what commands say on the way ----------------------------------------------------------------------------

    async def tell(self, *, expunge: bool, own: bool = False) -> None:
        """See `Teller.tell`."""
        await self.teller.tell(expunge=expunge, own=own)

    def made(self, mailbox_id: int, uids: Iterable[int]) -> None:
        """The running command has made these messages."""
        selected = self.selected
        if selected is None or selected.mailbox.id != mailbox_id or not (self.notify or selected.contexts):
            return
        numbers = tuple(uids)
        if self.notify is not None:
            self.notify.made(numbers)
        if selected.contexts:
            selected.contexts.made(numbers)

    def expect(self, names: Mapping[str, bool], subscribed: Mapping[str, bool] | None = None) -> None:
        """The running command made that these mailboxes exist, or no longer do; and what is subscribed now."""
        if self.notify is not None:
            self.notify.expect(names, subscribed)

    def announce_keywords(self) -> None:
        """See `Teller.announce_keywords`."""
        self.teller.announce_keywords()

    def progress(self, done: int | None = None, goal: int | None = None) -> None:
        """See `Dispatcher.progress`."""
        self._dispatcher.progress(done, goal)
