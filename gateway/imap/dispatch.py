"""Running commands: octets' events to commands, the table of states, replies, and the last resort for errors."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Final

import structlog

from gateway.model.errors import GatewayError, MailboxGone, Unavailable
from gateway.wire.commands import Command, Login
from gateway.wire.events import Event, Fatal, Frame, LiteralStart, NeedContinuation, Rejected
from gateway.wire.parser import BadCharset, BadCommand, parse

from . import auth_commands
from .channel import Closed
from .mailbox_names import in_utf8
from .replies import Reply, bad, no, reply_to
from .rules import RULES, UID_REQUIRED, State, Tell, uses_numbers, wrong_state
from .search import BAD_CHARSET
from .selected import Selected
from .teller import HIGHEST

if TYPE_CHECKING:
    from .session import Session

log = structlog.get_logger(__name__)

CONTINUE: Final = b"+ OK\r\n"
_RULE_OF: Final = {rule.name.encode("ascii"): rule for rule in RULES.values()}
_LOGIN: Final = RULES[Login]


class Dispatcher:
    """One session's: one command at a time, as the channel hands them over."""

    __slots__ = ("_bad", "_progressed", "_session", "_tag")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bad = 0  # malformed commands in a row
        self._tag = b""  # of the running command
        self._progressed = 0.0  # when it began, or last said how far it is

    def forgive(self) -> None:
        """After a login the malformed commands before it do not count."""
        self._bad = 0

    async def serve(self, event: Event) -> None:
        session = self._session
        if type(event) is Frame:
            await self._serve_frame(event, None)
        elif type(event) is NeedContinuation:
            self._go_on(event)
        elif type(event) is LiteralStart:
            await self._serve_frame(event.frame, event)
        elif type(event) is Rejected:
            self._refuse(event.tag, event.text)
        elif type(event) is Fatal:
            session.bye(no(event.text).text)

    def _go_on(self, event: NeedContinuation) -> None:
        """Ask for a literal, unless its command is refused anyway: above all no password is asked for in the clear."""
        session = self._session
        rule = _RULE_OF.get(event.name)
        if rule is not None and session.state not in rule.states:
            session.channel.reader.refuse()
            self._refuse(event.tag, wrong_state(rule, session.state).text.decode("ascii"))
        elif rule is _LOGIN and not session.channel.peer.secure:
            session.channel.reader.refuse()
            session.channel.send(auth_commands.PRIVACY.line(event.tag or b"*"))
        else:
            session.channel.send(CONTINUE)

    async def _serve_frame(self, frame: Frame, literal: LiteralStart | None) -> None:
        session = self._session
        try:
            command = parse(frame, utf8=in_utf8(session))
        except BadCharset as error:
            if error.saves and session.selected is not None:
                session.selected.view.save([])
            session.channel.send(BAD_CHARSET.line(error.tag or b"*"))
            return
        except BadCommand as error:
            if literal is not None:
                session.channel.reader.refuse()
            self._refuse(error.tag, error.text)
            return
        reply = await self.answer(command, literal)
        if reply is not None:
            session.channel.send(reply.line(command.tag))
            if session.state is State.LOGOUT:
                session.channel.end()
            elif session.end_after_reply:
                session.bye(b"Too many failures")

    async def answer(self, command: Command, literal: LiteralStart | None = None) -> Reply | None:
        """Run one command and tell what its moment allows; the tagged reply, None when the command sent it itself."""
        session = self._session
        rule = RULES[type(command)]
        refusal = None if session.state in rule.states else wrong_state(rule, session.state)
        if refusal is None and "UIDONLY" in session.enabled and uses_numbers(command):
            refusal = UID_REQUIRED
        if refusal is not None:
            if literal is not None:
                session.channel.reader.refuse()
            return self._count_bad(refusal)
        started = perf_counter()
        self._tag, self._progressed = command.tag, asyncio.get_running_loop().time()
        selected = session.selected
        try:
            if selected is not None and selected.shared.stale:
                await selected.shared.fresh()
            reply = await rule.handler(session, command)
            tell = rule.tell(command)
            if tell is not Tell.NOTHING:
                await session.teller.finish(expunge=tell is Tell.ALL)
        except Closed:
            raise
        except MailboxGone:
            session.mailbox_gone()
            return None
        except GatewayError as error:
            reply = await self._failed(command, error)
        except Exception as error:
            reply = self._broken(command, error)
        if reply is not None and reply.status == b"BAD":
            self._count_bad(reply)
        else:
            self._bad = 0
        if reply is not None and session.selected is not None and "CONDSTORE" in session.enabled:
            reply = self._with_highest(session.selected, reply)
        session.timers.heard()
        session.services.metrics.observe("imap_command_seconds", perf_counter() - started, command=rule.name)
        return reply

    def _with_highest(self, selected: Selected, reply: Reply) -> Reply:
        """The reply with HIGHESTMODSEQ, where the client could not know by itself with which it may come back."""
        session = self._session
        highest = selected.highest_to_tell(always_after_expunge="QRESYNC" in session.enabled)
        if highest is None:
            return reply
        if reply.status == b"OK" and reply.code is None:
            return replace(reply, code=b"HIGHESTMODSEQ %d" % highest)
        session.channel.send(HIGHEST % highest)
        return reply

    async def _failed(self, command: Command, error: GatewayError) -> Reply | None:
        """The reply of the table; what has happened meanwhile is told before it, as before any other."""
        session = self._session
        reply = reply_to(error)
        if reply is None:
            return self._broken(command, error)
        expunge = RULES[type(command)].tell(command) is Tell.ALL
        try:
            if isinstance(error, Unavailable):  # nothing more is asked of the store now
                await session.tell(expunge=expunge)
            else:
                await session.teller.finish(expunge=expunge)
        except MailboxGone:
            session.mailbox_gone()
            return None
        except GatewayError:
            pass  # the next command tells what this one could not
        return reply

    def _broken(self, command: Command, error: Exception) -> Reply:
        """The last resort: nobody outside learns more than an id that the log has too."""
        session = self._session
        incident = secrets.token_hex(6)
        log.error("imap.command.broken", incident=incident, command=type(command).__name__, exc_info=error)
        session.services.metrics.count("imap_defects_total")
        return no(f"Internal error {incident}", b"SERVERBUG")

    def _refuse(self, tag: bytes | None, text: str) -> None:
        session = self._session
        session.channel.send(self._count_bad(bad(text)).line(tag or b"*"))
        if session.end_after_reply:
            session.bye(b"Too many failures")

    def _count_bad(self, reply: Reply) -> Reply:
        """Too many malformed commands in a row are no client: after the limit, BYE."""
        session = self._session
        self._bad += 1
        settings = session.services.settings
        limit = settings.max_bad if session.principal is not None else settings.max_bad_before_login
        if self._bad >= limit:
            session.end_after_reply = True
        return reply

    def progress(self, done: int | None = None, goal: int | None = None) -> None:
        """RFC 9585: a command that takes long says now and then that it is at work, and how far it is if it knows.

        A client that sees nothing for minutes takes the connection for dead. Each page of a long command ends here by
        itself (`Channel.breathe`); one that knows calls it between two responses with `done` of `goal`, in any unit.
        """
        session = self._session
        now = asyncio.get_running_loop().time()
        if now - self._progressed < session.services.settings.progress or session.channel.in_literal:
            return
        self._progressed = now
        if done is None or not goal:
            code = b'("%b" NIL NIL)' % self._tag
        else:
            code = b'("%b" %d %d)' % (self._tag, min(done, goal), goal)
        session.channel.send(b"* OK [INPROGRESS %b] Still working\r\n" % code)
