"""Commands about mailboxes as such: LIST, STATUS, NAMESPACE, SELECT and what makes, renames and removes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from gateway.outbound.failure import Failure

from .classify import Step
from .compose import Part, spaced, string
from .dialogue import Dialogue
from .errors import Closed, Refused
from .events import Listed, Namespaces, Response, StatusOf
from .values import ListedMailbox, MailboxStatus, Selected

STATUS_ITEMS: Final = ("MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ", "SIZE", "MAILBOXID")
MAX_MAILBOXES: Final = 100_000
_NEEDS: Final = {"HIGHESTMODSEQ": "CONDSTORE", "SIZE": "STATUS=SIZE", "MAILBOXID": "OBJECTID"}


def same_name(one: bytes, other: bytes) -> bool:
    """RFC 3501 5.1: only INBOX is spelled in any case."""
    return one == other or (one.upper() == b"INBOX" == other.upper())


def status_items(dialogue: Dialogue, wanted: Iterable[str]) -> bytes:
    """Those of `wanted` that the server knows."""
    known = [name for name in wanted if name in STATUS_ITEMS and (name not in _NEEDS or dialogue.has(_NEEDS[name]))]
    return " ".join(known or ["MESSAGES"]).encode("ascii")


async def list_mailboxes(dialogue: Dialogue, status: Collection[str] = ()) -> list[ListedMailbox]:
    """All of them, each once, with SPECIAL-USE and STATUS where one command gives them (RFC 5258, 5819, 6154).

    A server that offers the long form and refuses it is asked in the short one from then on; one that lists nothing is
    asked by LSUB. `status` stays None where LIST-STATUS is not offered.
    """
    found = _Listing()
    options = _options(dialogue, status)
    if options:
        try:
            await _list(dialogue, found, b"LIST", [b'""', b'"*"', b"RETURN", b"(%b)" % b" ".join(options)])
        except Refused as error:
            if not error.bad:
                raise
            dialogue.distrusted |= {"LIST-EXTENDED", "SPECIAL-USE", "LIST-STATUS"}
            options = []
    if not options:
        verb = b"XLIST" if dialogue.has("XLIST") and not dialogue.has("SPECIAL-USE") else b"LIST"
        await _list(dialogue, found, verb, [b'""', b'"*"'])
    if not found.by_name:
        await _list(dialogue, found, b"LSUB", [b'""', b'"*"'])
    return found.mailboxes()


async def _list(dialogue: Dialogue, found: _Listing, verb: bytes, parts: list[Part]) -> None:
    times = dialogue.times
    await dialogue.run(verb, *parts, patience=times.listing, silence=times.listing, claim=found)


def _options(dialogue: Dialogue, status: Collection[str]) -> list[bytes]:
    options = []
    if dialogue.has("SPECIAL-USE") and dialogue.has("LIST-EXTENDED"):
        options.append(b"SPECIAL-USE")
    if status and dialogue.has("LIST-STATUS"):
        options.append(b"STATUS (%b)" % status_items(dialogue, status))
    return options


class _Listing:
    """Collects LIST and STATUS responses; a mailbox that is told twice (Zoho) has the attributes of both."""

    def __init__(self) -> None:
        self.by_name: dict[bytes, ListedMailbox] = {}
        self._status: dict[bytes, MailboxStatus] = {}

    def __call__(self, event: Response) -> bool:
        if isinstance(event, Listed):
            told = event.mailbox
            before = self.by_name.get(told.raw)
            if before is not None:
                told = replace(told, attributes=told.attributes | before.attributes)
            elif len(self.by_name) >= MAX_MAILBOXES:
                raise Closed(Failure.PROTOCOL, "The server has more mailboxes than any account")
            self.by_name[told.raw] = told
        elif isinstance(event, StatusOf):
            if len(self._status) < MAX_MAILBOXES:
                self._status[event.raw] = event.status
        else:
            return False
        return True

    def mailboxes(self) -> list[ListedMailbox]:
        inbox = next((status for raw, status in self._status.items() if raw.upper() == b"INBOX"), None)
        found = []
        for raw, told in self.by_name.items():
            status = self._status.get(raw, inbox if raw.upper() == b"INBOX" else None)
            found.append(told if status is None else replace(told, status=status))
        return found


async def status(dialogue: Dialogue, raw: bytes, items: Iterable[str] = STATUS_ITEMS) -> MailboxStatus:
    """STATUS; never of the selected mailbox (RFC 3501 6.3.10). Refused with FOLDER_MISSING."""
    found = MailboxStatus()

    def claim(event: Response) -> bool:
        nonlocal found
        if isinstance(event, StatusOf) and same_name(event.raw, raw):
            found = event.status
            return True
        return False

    known = status_items(dialogue, items)
    await dialogue.run(
        b"STATUS", string(raw), b"(%b)" % known, patience=dialogue.times.select, step=Step.FOLDER, claim=claim
    )
    return found


async def namespace(dialogue: Dialogue) -> Namespaces | None:
    """RFC 2342; None where it is not offered."""
    if not dialogue.has("NAMESPACE"):
        return None
    found: Namespaces | None = None

    def claim(event: Response) -> bool:
        nonlocal found
        if isinstance(event, Namespaces):
            found = event
            return True
        return False

    await dialogue.run(b"NAMESPACE", claim=claim)
    return found


async def select(dialogue: Dialogue, raw: bytes, *, read_only: bool) -> Selected:
    """SELECT or EXAMINE. Refused leaves no mailbox selected."""
    parts: list[Part] = [b"EXAMINE" if read_only else b"SELECT", string(raw)]
    if dialogue.has("CONDSTORE"):
        parts.append(b"(CONDSTORE)")
    async with dialogue.exchange(dialogue.times.select) as exchange:
        dialogue.mailbox.open(raw, read_only=read_only)
        try:
            await exchange.send(spaced(parts), Step.FOLDER)
            tagged = await exchange.answer(step=Step.FOLDER)
        except BaseException:
            dialogue.mailbox.close()
            raise
        return dialogue.mailbox.opened(tagged.code)


async def unselect(dialogue: Dialogue) -> None:
    """UNSELECT (RFC 3691): nothing is expunged. Without it the mailbox stays selected: CLOSE would expunge."""
    if dialogue.mailbox.selected is not None and dialogue.has("UNSELECT"):
        await dialogue.run(b"UNSELECT", patience=dialogue.times.select)
        dialogue.mailbox.close()


async def named(dialogue: Dialogue, verb: bytes, *names: bytes) -> None:
    """CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. Refused with the server's code: ALREADYEXISTS, NOPERM …"""
    await dialogue.run(verb, *(string(raw) for raw in names), patience=dialogue.times.select, step=Step.FOLDER)
