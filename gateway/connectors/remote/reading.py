"""What is looked at in an account: its folders, how they stand, messages that are searched for. Nothing is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from gateway import mime
from gateway.connectors.plan.roles import Roles
from gateway.connectors.plan.roles import resolve as roles_of
from gateway.model.errors import InvalidRequest
from gateway.model.sequence import Ranges, contains, count, from_rising, normalise, numbers_of, without
from gateway.upstream.errors import Refused
from gateway.upstream.folders import STATUS_ITEMS
from gateway.upstream.numbers import MAX_UID
from gateway.upstream.values import FetchedMessage, ListedMailbox, MailboxStatus
from gateway.upstream.wants import FetchWants, SearchWants

from .opened import OpenAccount, checked
from .ranges import MOST
from .values import Folder, MessageFacts, Search

COUNTED: Final = 200
"""Folders that are asked for their counts one by one, where one command for all is not offered."""
_CUT: Final = 1_000  # characters of a header field
_HEADER: Final = 65_536  # octets of a header that are looked at
_FACTS: Final = FetchWants(
    flags=True, internal_date=True, size=True, header=("From", "To", "Subject", "Message-ID")
)


class Reading(OpenAccount):
    """See `RemoteActions`."""

    async def folders(self, *, counts: bool = True) -> list[Folder]:
        """All folders; with `counts` STATUS of each that can be opened (of the first `COUNTED` where that is slow)."""
        client = self._client
        listed = await client.list_mailboxes(STATUS_ITEMS if counts else ())
        roles = roles_of(listed)
        found = []
        asked = 0
        for one in listed:
            status = one.status
            if counts and status is None and one.selectable and asked < COUNTED:
                asked += 1
                status = await self._status_or_none(one)
            found.append(_folder(one, roles, status))
        return found

    async def _status_or_none(self, folder: ListedMailbox) -> MailboxStatus | None:
        """Some servers list what they cannot open."""
        try:
            return await self.standing(folder)
        except Refused:
            return None

    async def status(self, mailbox: str, *, expect: int | None = None) -> Folder:
        """How a folder stands."""
        folder = await self.folder(mailbox)
        status = await self.standing(folder)
        checked(folder, expect, status.uidvalidity or 0)
        return _folder(folder, await self._roles(), status)

    async def search(
        self, mailbox: str, wants: SearchWants, *, limit: int = 50, below: int | None = None, expect: int | None = None
    ) -> Search:
        """Messages that fit, the newest first: `limit` of them, with `below` those of smaller UIDs."""
        if not 0 <= limit <= MOST:
            raise InvalidRequest(f"A search shows from 0 to {MOST} messages")
        folder = await self.folder(mailbox)
        selected = await self.select(folder, expect)
        found = await self.search_uids(wants)
        total = count(found)
        left = without(found, ((below, MAX_UID),)) if below is not None else found
        page = highest(left, limit)
        facts = {one.uid: one async for one in self.facts(page)}
        messages = tuple(
            facts.get(uid) or MessageFacts(uid) for uid in sorted(numbers_of(page), reverse=True)
        )
        return Search(folder.name, selected.uidvalidity, total, messages, more=count(left) > len(messages))

    async def facts(self, uids: Ranges) -> AsyncIterator[MessageFacts]:
        """Of messages in the selected folder; each once, in the server's order."""
        told: set[int] = set()
        if uids:
            async for message in self._client.fetch(uids, _FACTS):
                if message.uid not in told and contains(uids, message.uid):
                    told.add(message.uid)
                    yield _facts(message)


def highest(uids: Ranges, most: int) -> Ranges:
    """The last `most` of `uids`; linear in the ranges that it takes."""
    found: list[tuple[int, int]] = []
    for low, high in reversed(uids):
        if most <= 0:
            break
        low = max(low, high - most + 1)
        most -= high - low + 1
        found.append((low, high))
    return normalise(found)


def lowest(uids: Ranges, most: int) -> Ranges:
    """The first `most` of `uids`."""
    numbers: list[int] = []
    for low, high in uids:
        numbers += range(low, min(high, low + most - len(numbers) - 1) + 1)
    return from_rising(numbers)


def _folder(one: ListedMailbox, roles: Roles, status: MailboxStatus | None) -> Folder:
    return Folder(one.name, one.delimiter, roles.of.get(one.raw), one.selectable, status)


def _facts(message: FetchedMessage) -> MessageFacts:
    first = {field.name.lower(): field.value for field in reversed(mime.fields((message.header or b"")[:_HEADER]))}

    def text(name: bytes) -> str:
        return mime.decode_text(first.get(name, b"")[: 8 * _CUT]).strip()[:_CUT]

    return MessageFacts(
        message.uid, message.internal_date, message.size, tuple(sorted(message.flags or ())), text(b"from"),
        text(b"to"), text(b"subject"), text(b"message-id"),
    )  # fmt: skip
