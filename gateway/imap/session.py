"""The session's machine: states, dispatch, what the client is told when, timers and the last resort for errors.

Knows no transport: a `Peer` is given, octets come by `channel`. The commands themselves are in the modules that
`rules.RULES` names.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from time import perf_counter
from typing import Final

import structlog

from gateway.model.errors import GatewayError, MailboxGone
from gateway.model.permissions import Principal
from gateway.wire.commands import Command, Login
from gateway.wire.events import BEFORE_LOGIN, Event, Fatal, Frame, LiteralStart, NeedContinuation, Rejected, after_login
from gateway.wire.parser import BadCharset, BadCommand, parse

from . import auth_commands, capabilities
from .channel import Channel, Closed, Peer
from .mailbox_names import in_utf8
from .mailbox_state import Delta
from .metadata_news import ENABLED_BY, MetadataNews
from .replies import Reply, bad, no, reply_to
from .rules import RULES, UID_REQUIRED, State, Tell, uses_numbers, wrong_state
from .search import BAD_CHARSET
from .selected import Selected, flag_list
from .services import Cancellable, ImapServices, Watched
from .session_commands import I_DEFAULT
from .settings import IDLE_PAGE, TELL_PAGE
from .telling import Form, form_of
from .view import Updates

log = structlog.get_logger(__name__)

CONTINUE: Final = b"+ OK\r\n"
HIGHEST: Final = b"* OK [HIGHESTMODSEQ %d] Highest\r\n"
GONE: Final = b"* BYE Mailbox has been deleted\r\n"
_RULE_OF: Final = {rule.name.encode("ascii"): rule for rule in RULES.values()}
_LOGIN: Final = RULES[Login]


class Session:
    """One client. Create it when the connection is ready, call `greet`, then feed `channel`."""

    __slots__ = (
        "__weakref__",
        "_bad",
        "_progressed",
        "_tag",
        "_telling",
        "_timer",
        "_watched",
        "can_start_tls",
        "channel",
        "deleting",
        "enabled",
        "end_after_reply",
        "failures",
        "idling",
        "language",
        "last_active",
        "metadata_news",
        "principal",
        "selected",
        "services",
        "state",
    )

    def __init__(self, services: ImapServices, peer: Peer, *, can_start_tls: bool = False) -> None:
        self.services = services
        self.channel = Channel(peer, BEFORE_LOGIN, self._serve)
        self.channel.between_pages = self.progress
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
        """Tells of annotations that others change, once ENABLE METADATA asked for it."""
        self.language = I_DEFAULT
        """What LANGUAGE chose (RFC 5255)."""
        self.end_after_reply = False
        """BYE follows the running command's reply."""
        self.failures = 0
        """Failed logins on this connection."""
        self.last_active = 0.0
        self._bad = 0
        self._tag = b""  # of the running command
        self._progressed = 0.0  # when it began, or last said how far it is
        self._telling = False  # the next page for an idling session has its turn
        self._watched: Watched | None = None
        self._timer: Cancellable | None = None

    # -- begin and end -------------------------------------------------------------------------------------------

    def greet(self) -> None:
        """RFC 3501 7.1.1, with the whole capability list. Login must follow within `login_timeout`."""
        settings = self.services.settings
        self._arm(settings.login_timeout, self._login_too_late)
        self.channel.send(b"* OK [CAPABILITY %b] %b ready\r\n" % (self.capability, settings.product.encode("ascii")))
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
        if self.metadata_news is not None:
            self.metadata_news.close()
            self.metadata_news = None
        if self._watched is not None:
            self._watched.close()
            self._watched = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def logged_in(self, principal: Principal) -> None:
        """Authenticated: larger limits, the long timer, and an ear for the end of the key. LimitReached."""
        if self.services.sessions is not None:
            self._watched = self.services.sessions.add(principal, self.end)
        self.principal = principal
        self.state = State.AUTHENTICATED
        self.channel.reader.set_limits(after_login(self.services.settings.max_message_size))
        self._bad = 0
        self.last_active = asyncio.get_running_loop().time()
        self._arm(self.services.settings.idle_timeout, self._maybe_idle)

    def logged_out(self) -> None:
        """UNAUTHENTICATE (RFC 8437): what a login and the commands after it have left goes, but for its failures."""
        self._release()
        self.principal = None
        self.enabled.clear()
        self.language = I_DEFAULT
        self.state = State.NOT_AUTHENTICATED
        self.channel.reader.set_limits(BEFORE_LOGIN)
        self._arm(self.services.settings.login_timeout, self._login_too_late)

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

    @property
    def form(self) -> Form:
        return form_of(self.enabled)

    # -- timers --------------------------------------------------------------------------------------------------

    def _arm(self, delay: float, action: Callable[[], None]) -> None:
        if self.state is State.LOGOUT:
            return
        if self._timer is not None:
            self._timer.cancel()
        call_later = self.services.call_later or asyncio.get_running_loop().call_later
        self._timer = call_later(delay, action)

    def _login_too_late(self) -> None:
        self._timer = None
        self.bye(b"Login took too long")

    def _maybe_idle(self) -> None:
        """Looked at when the timer fires, not at each command: that keeps a NOOP free of timer work."""
        self._timer = None
        timeout = self.services.settings.idle_timeout
        quiet = asyncio.get_running_loop().time() - self.last_active
        working = not self.channel.at_rest  # an APPEND whose octets never come is no work of ours
        if working or quiet < timeout:
            self._arm(timeout if working else timeout - quiet, self._maybe_idle)
        else:
            self.bye(b"Autologout; idle for too long")

    def heard(self) -> None:
        """The client gives a sign of life in the middle of a command."""
        self.last_active = asyncio.get_running_loop().time()

    def begin_idle(self) -> None:
        """From now on what happens is told at once; first what has been waiting."""
        self.idling = True
        self._arm(self.services.settings.keepalive, self._keep_alive)
        self._tell_idling()
        if self.metadata_news is not None:
            self.metadata_news.tell_idling()

    def end_idle(self) -> None:
        self.idling = False
        if self.state is not State.LOGOUT:
            self._arm(self.services.settings.idle_timeout, self._maybe_idle)

    def _keep_alive(self) -> None:
        if not self.channel.congested:  # a peer that does not read is the transport's write timeout's case
            self.channel.send(b"* OK Still here\r\n")
            self.channel.flush()
        self._arm(self.services.settings.keepalive, self._keep_alive)

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
            self.services.states.unwatch(selected.shared, self)
            if self.state is State.SELECTED:
                self.state = State.AUTHENTICATED

    def mailbox_changed(self, delta: Delta) -> None:
        """From the registry, right after the state changed."""
        if self.selected is None:
            return
        self.selected.view.note(delta)
        self._tell_idling()

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
        self._tell_idling()

    async def tell(self, *, expunge: bool) -> None:
        """Send what the view has to say now: EXPUNGE, EXISTS, FETCH, in that order. Others get the loop between pages.

        Only where a command uses no numbers any more: what happens meanwhile may be told with the next page. Closed.
        """
        while (selected := self.selected) is not None and not selected.view.quiet:
            updates = selected.view.updates(expunge=expunge, limit=TELL_PAGE)
            self._send_updates(selected, updates)
            if not updates.more:
                break
            await self.channel.breathe()

    def _tell_idling(self) -> None:
        """One page of the same in IDLE; the next one in a later turn of the loop, unless the peer takes no more."""
        selected = self.selected
        if not self.idling or self._telling or selected is None or self.channel.congested or selected.view.quiet:
            return
        updates = selected.view.updates(expunge=True, limit=IDLE_PAGE)
        self._send_updates(selected, updates)
        self.channel.flush()
        if selected.contexts:
            selected.contexts.follow_soon(self, selected)
        if updates.more:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell_on)

    def _tell_on(self) -> None:
        self._telling = False
        self._tell_idling()

    def _send_updates(self, selected: Selected, updates: Updates) -> None:
        send, state = self.channel.send, selected.shared.state
        if updates.expunged:
            if selected.contexts:
                selected.contexts.leaving(self, updates)
            send(self.form.expunged(updates.expunged, updates.vanished))
            selected.expunges_told = True
        if updates.exists is not None:
            send(b"* %d EXISTS\r\n" % updates.exists)
        self.announce_keywords()
        if updates.flags:
            send(self.form.changed(updates.flags, state.flags_text))
            selected.modseq_shown = True

    def announce_keywords(self) -> None:
        """`* FLAGS` again once the mailbox has new keywords, before the first response that shows one."""
        selected = self.selected
        if selected is None or len(selected.shared.state.keywords) == selected.keywords_told:
            return
        state = selected.shared.state
        selected.keywords_told = len(state.keywords)
        flags = flag_list(state)
        self.channel.send(b"* FLAGS (%b)\r\n" % flags)
        if not selected.read_only:
            self.channel.send(b"* OK [PERMANENTFLAGS (%b \\*)] Flags permitted\r\n" % flags)

    def progress(self, done: int | None = None, goal: int | None = None) -> None:
        """RFC 9585: a command that takes long says now and then that it is at work, and how far it is if it knows.

        A client that sees nothing for minutes takes the connection for dead. Each page of a long command ends here by
        itself (`Channel.breathe`); one that knows calls it between two responses with `done` of `goal`, in any unit.
        """
        now = asyncio.get_running_loop().time()
        if now - self._progressed < self.services.settings.progress or self.channel.in_literal:
            return
        self._progressed = now
        if done is None or not goal:
            code = b'("%b" NIL NIL)' % self._tag
        else:
            code = b'("%b" %d %d)' % (self._tag, min(done, goal), goal)
        self.channel.send(b"* OK [INPROGRESS %b] Still working\r\n" % code)

    # -- dispatch ------------------------------------------------------------------------------------------------

    async def _serve(self, event: Event) -> None:
        if type(event) is Frame:
            await self._serve_frame(event, None)
        elif type(event) is NeedContinuation:
            self._go_on(event)
        elif type(event) is LiteralStart:
            await self._serve_frame(event.frame, event)
        elif type(event) is Rejected:
            self._refuse(event.tag, event.text)
        elif type(event) is Fatal:
            self.bye(no(event.text).text)

    def _go_on(self, event: NeedContinuation) -> None:
        """Ask for a literal, unless its command is refused anyway: above all no password is asked for in the clear."""
        rule = _RULE_OF.get(event.name)
        if rule is not None and self.state not in rule.states:
            self.channel.reader.refuse()
            self._refuse(event.tag, wrong_state(rule, self.state).text.decode("ascii"))
        elif rule is _LOGIN and not self.channel.peer.secure:
            self.channel.reader.refuse()
            self.channel.send(auth_commands.PRIVACY.line(event.tag or b"*"))
        else:
            self.channel.send(CONTINUE)

    async def _serve_frame(self, frame: Frame, literal: LiteralStart | None) -> None:
        try:
            command = parse(frame, utf8=in_utf8(self))
        except BadCharset as error:
            if error.saves and self.selected is not None:
                self.selected.view.save([])
            self.channel.send(BAD_CHARSET.line(error.tag or b"*"))
            return
        except BadCommand as error:
            if literal is not None:
                self.channel.reader.refuse()
            self._refuse(error.tag, error.text)
            return
        reply = await self.answer(command, literal)
        if reply is not None:
            self.channel.send(reply.line(command.tag))
            if self.state is State.LOGOUT:
                self.channel.end()
            elif self.end_after_reply:
                self.bye(b"Too many failures")

    async def answer(self, command: Command, literal: LiteralStart | None = None) -> Reply | None:
        """Run one command and tell what its moment allows; the tagged reply, None when the command sent it itself."""
        rule = RULES[type(command)]
        refusal = None if self.state in rule.states else wrong_state(rule, self.state)
        if refusal is None and "UIDONLY" in self.enabled and uses_numbers(command):
            refusal = UID_REQUIRED
        if refusal is not None:
            if literal is not None:
                self.channel.reader.refuse()
            return self._count_bad(refusal)
        started = perf_counter()
        self._tag, self._progressed = command.tag, asyncio.get_running_loop().time()
        selected = self.selected
        try:
            if selected is not None and selected.shared.stale:
                await selected.shared.fresh()
            reply = await rule.handler(self, command)
            tell = rule.tell(command)
            if self.metadata_news is not None and self.metadata_news.stale and tell is not Tell.NOTHING:
                await self.metadata_news.tell()
            selected = self.selected
            if selected is not None and tell is not Tell.NOTHING:
                if selected.shared.stale:
                    await selected.shared.fresh()
                if not selected.view.quiet:
                    await self.tell(expunge=tell is Tell.ALL)
                if selected.contexts and selected.contexts.behind(selected):
                    await selected.contexts.follow(self, selected)
        except Closed:
            raise
        except MailboxGone:
            self.mailbox_gone()
            return None
        except GatewayError as error:
            reply = await self._failed(command, error)
        except Exception as error:
            reply = self._broken(command, error)
        if reply is not None and reply.status == b"BAD":
            self._count_bad(reply)
        else:
            self._bad = 0
        if reply is not None and self.selected is not None and "CONDSTORE" in self.enabled:
            reply = self._with_highest(self.selected, reply)
        self.last_active = asyncio.get_running_loop().time()
        self.services.metrics.observe("imap_command_seconds", perf_counter() - started, command=rule.name)
        return reply

    def _with_highest(self, selected: Selected, reply: Reply) -> Reply:
        """The reply with HIGHESTMODSEQ, where the client could not know by itself with which it may come back."""
        highest = selected.highest_to_tell(always_after_expunge="QRESYNC" in self.enabled)
        if highest is None:
            return reply
        if reply.status == b"OK" and reply.code is None:
            return replace(reply, code=b"HIGHESTMODSEQ %d" % highest)
        self.channel.send(HIGHEST % highest)
        return reply

    async def _failed(self, command: Command, error: GatewayError) -> Reply:
        reply = reply_to(error)
        if reply is None:
            return self._broken(command, error)
        if self.selected is not None:
            await self.tell(expunge=RULES[type(command)].tell(command) is Tell.ALL)
        return reply

    def _broken(self, command: Command, error: Exception) -> Reply:
        """The last resort: nobody outside learns more than an id that the log has too."""
        incident = secrets.token_hex(6)
        log.error("imap.command.broken", incident=incident, command=type(command).__name__, exc_info=error)
        self.services.metrics.count("imap_defects_total")
        return no(f"Internal error {incident}", b"SERVERBUG")

    def _refuse(self, tag: bytes | None, text: str) -> None:
        self.channel.send(self._count_bad(bad(text)).line(tag or b"*"))
        if self.end_after_reply:
            self.bye(b"Too many failures")

    def _count_bad(self, reply: Reply) -> Reply:
        """Too many malformed commands in a row are no client: after the limit, BYE."""
        self._bad += 1
        settings = self.services.settings
        limit = settings.max_bad if self.principal is not None else settings.max_bad_before_login
        if self._bad >= limit:
            self.end_after_reply = True
        return reply
