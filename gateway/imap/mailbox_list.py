"""Commands that show mailboxes: LIST, LSUB, STATUS, NAMESPACE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from gateway.model import names
from gateway.model.mailbox import DELIMITER, INBOX, Mailbox
from gateway.store import mailboxes
from gateway.wire import commands as c
from gateway.wire import render
from gateway.wire.pattern import Matcher

from . import access
from .access import Action
from .mailbox_commands import find
from .replies import Reply, bad, ok
from .settings import LIST_WORK

if TYPE_CHECKING:
    from .session import Session

_STATUS: Final[Mapping[str, Callable[[Mailbox], int]]] = {
    "MESSAGES": lambda mailbox: mailbox.messages,
    "RECENT": lambda mailbox: 0,
    "UIDNEXT": lambda mailbox: mailbox.uidnext,
    "UIDVALIDITY": lambda mailbox: mailbox.uidvalidity,
    "UNSEEN": lambda mailbox: mailbox.unseen,
}


async def list_(session: Session, command: c.List) -> Reply:
    """RFC 3501 6.3.8 with the roles of RFC 6154 and the child marks of RFC 3348 in every form of it."""
    if not command.extended and command.patterns == ("",):
        session.channel.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return ok("LIST completed")
    if "RECURSIVEMATCH" in command.selection:
        return bad("RECURSIVEMATCH is not supported")
    inbox_id = session.require_principal().inbox_id
    found = await session.services.db.read(lambda rx: mailboxes.list_mailboxes(rx, inbox_id))
    subscribed = frozenset[str]()
    if "SUBSCRIBED" in command.selection:
        subscribed = frozenset(await session.services.db.read(lambda rx: mailboxes.subscriptions(rx, inbox_id)))
    matchers = [Matcher(command.reference, pattern) for pattern in command.patterns]
    parents = {mailbox.name.rpartition(DELIMITER)[0] for mailbox in found}  # a parent always has a row of its own
    by_name = {mailbox.name: mailbox for mailbox in found}
    shown: Iterable[str] = subscribed if "SUBSCRIBED" in command.selection else by_name
    work = 0
    for name in sorted(shown, key=_inbox_first):
        work += len(name) * len(matchers)
        if work > LIST_WORK:
            work = 0
            await session.channel.breathe()
        if not any(matcher.matches(name) for matcher in matchers):
            continue
        mailbox = by_name.get(name)
        if "SPECIAL-USE" in command.selection and (mailbox is None or mailbox.role is None):
            continue
        marks = _marks(mailbox, has_children=name in parents)
        if "SUBSCRIBED" in command.selection or ("SUBSCRIBED" in command.returns and mailbox and mailbox.subscribed):
            marks.append("\\Subscribed")
        session.channel.send(_line(b"LIST", marks, name))
        if "STATUS" in command.returns and mailbox is not None and not mailbox.noselect:
            session.channel.send(_status_line(mailbox, command.status))
    return ok("LIST completed")


def _inbox_first(name: str) -> tuple[bool, str]:
    return name != INBOX, name


def _marks(mailbox: Mailbox | None, *, has_children: bool) -> list[str]:
    marks = []
    if mailbox is None:
        marks.append("\\NonExistent")
    elif mailbox.noselect:
        marks.append("\\Noselect")
    marks.append("\\HasChildren" if has_children else "\\HasNoChildren")
    if mailbox is not None and mailbox.role is not None:
        marks.append(mailbox.role)
    return marks


def _line(kind: bytes, marks: Iterable[str], name: str) -> bytes:
    return b'* %b (%b) "/" %b\r\n' % (kind, " ".join(marks).encode("ascii"), render.mailbox(name))


async def lsub(session: Session, command: c.Lsub) -> Reply:
    """RFC 3501 6.3.9: subscribed names, whether their mailboxes exist or not; with `%` the parents of deeper ones."""
    if not command.pattern:
        session.channel.send(b'* LSUB (\\Noselect) "/" ""\r\n')
        return ok("LSUB completed")
    inbox_id = session.require_principal().inbox_id
    subscribed = await session.services.db.read(lambda rx: mailboxes.subscriptions(rx, inbox_id))
    matcher = Matcher(command.reference, command.pattern)
    marks: dict[str, tuple[str, ...]] = {}
    work = 0
    for name in subscribed:
        work += len(name) * (1 + name.count(DELIMITER))
        if work > LIST_WORK:
            work = 0
            await session.channel.breathe()
        if matcher.matches(name):
            marks[name] = ()
            continue
        for parent in names.parents(name):
            if matcher.matches(parent):
                marks.setdefault(parent, ("\\Noselect",))
    for name in sorted(marks, key=_inbox_first):
        session.channel.send(_line(b"LSUB", marks[name], name))
    return ok("LSUB completed")


async def status(session: Session, command: c.Status) -> Reply:
    """RFC 3501 6.3.10, from the row's exact counters; allowed on the selected mailbox too."""
    mailbox = await find(session, command.mailbox)
    access.require(session.require_principal(), Action.READ, mailbox.role)
    session.channel.send(_status_line(mailbox, command.items))
    return ok("STATUS completed")


def _status_line(mailbox: Mailbox, items: Iterable[str]) -> bytes:
    values = b" ".join(b"%b %d" % (item.encode("ascii"), _STATUS[item](mailbox)) for item in items)
    return b"* STATUS %b (%b)\r\n" % (render.mailbox(mailbox.name), values)


async def namespace(session: Session, command: c.Namespace) -> Reply:
    """RFC 2342: one personal namespace, the root."""
    session.channel.send(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return ok("NAMESPACE completed")
