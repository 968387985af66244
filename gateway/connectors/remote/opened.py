"""One connection in an account: folders by name, one of them selected, its messages by position or UID."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from gateway.connectors.plan.roles import Roles, resolve
from gateway.model.errors import Unavailable
from gateway.model.sequence import Ranges, count
from gateway.outbound.failure import Failure
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import Refused
from gateway.upstream.folders import STATUS_ITEMS, same_name
from gateway.upstream.numbers import MAX_UID
from gateway.upstream.values import ListedMailbox, MailboxStatus, Selected
from gateway.upstream.wants import EVERYTHING, SearchWants

from . import folders, ranges
from .errors import ValidityChanged
from .ranges import Chosen

_LOOKS: Final = 2  # at which UIDs there are, while messages come and go


Connect = Callable[[], Awaitable[ImapClient]]


class OpenAccount:
    """Base of the actions; UpstreamErrors come through as they are, `door.opened` turns them into RemoteFailed."""

    def __init__(self, client: ImapClient, again: Connect) -> None:
        """`again`: another connection like `client`."""
        self._client = client
        self._again = again
        self._listed: list[ListedMailbox] | None = None

    async def close(self) -> None:
        """LOGOUT; never raises for what the server answers."""
        await self._client.log_out()

    async def reconnect(self) -> None:
        """Goes on over a new connection, no folder selected, for the one there was is gone. UpstreamError."""
        self._client.abort()
        self._client = await self._again()

    async def _folders(self) -> list[ListedMailbox]:
        """Asked once a connection, unless something of it was changed."""
        if self._listed is None:
            self._listed = await self._client.list_mailboxes()
        return self._listed

    async def _roles(self) -> Roles:
        return resolve(await self._folders())

    async def folder(self, word: str) -> ListedMailbox:
        """Refused with FOLDER_MISSING."""
        listed = await self._folders()
        return folders.find(listed, lambda: resolve(listed), word)

    async def validity(self, folder: ListedMailbox, expect: int | None = None) -> int:
        """UIDVALIDITY without selecting it; 0 where the server does not tell. ValidityChanged."""
        status = await self.standing(folder, ("UIDVALIDITY",))
        return checked(folder, expect, status.uidvalidity or 0)

    async def standing(self, folder: ListedMailbox, items: Collection[str] = STATUS_ITEMS) -> MailboxStatus:
        """STATUS; of the selected folder what EXAMINE tells, where it cannot be left (RFC 3501 6.3.10)."""
        client = self._client
        if client.selected is not None and same_name(client.selected.raw, folder.raw):
            await client.unselect()
        if client.selected is None or not same_name(client.selected.raw, folder.raw):
            return await client.status(folder.raw, items)
        told = await client.select(folder.raw, read_only=True)
        unseen = count(await self.search_uids(SearchWants(seen=False))) if "UNSEEN" in items else None
        return MailboxStatus(told.exists, told.uidnext, told.uidvalidity or None, unseen)

    async def select(self, folder: ListedMailbox, expect: int | None = None, *, write: bool = False) -> Selected:
        """ValidityChanged: nothing may be done by UIDs of before."""
        selected = await self._client.select(folder.raw, read_only=not write)
        checked(folder, expect, selected.uidvalidity)
        if write and selected.read_only:
            raise Refused(Failure.REFUSED_COMMAND, f"The server lets nobody change {folder.name}", code="READ-ONLY")
        return selected

    async def search_uids(self, wants: SearchWants = EVERYTHING) -> Ranges:
        """UID SEARCH, in the old form where ESEARCH is offered and refused."""
        client = self._client
        try:
            return await client.search(wants)
        except Refused as error:
            if not error.bad or not client.has("ESEARCH"):
                raise
        client.distrust("ESEARCH")
        client.distrust("PARTIAL")
        return await client.search(wants)

    async def is_there(self, uid: int) -> bool:
        """Whether the selected folder has this message."""
        found = await self.search_uids(SearchWants(uids=((uid, uid),)))
        return any(low <= uid <= high for low, high in found)

    async def uids(self, wanted: Chosen) -> Ranges:
        """The UIDs of `wanted` in the selected folder. NotFound; LimitReached; Unavailable: it does not hold still.

        Positions are counted in all UIDs there are, and only where they are as many as the server says that there
        are messages: else the fifth of them need not be the fifth message.
        """
        if wanted.by_uid:
            asked = EVERYTHING if wanted.names_the_last else SearchWants(uids=wanted.within(MAX_UID))
            return ranges.resolve(wanted, await self.search_uids(asked))
        for _ in range(_LOOKS):
            there = await self.search_uids()
            selected = self._client.selected
            if selected is not None and count(there) == selected.exists:
                return ranges.resolve(wanted, there)
            await self._client.noop()
        raise Unavailable("The server does not show all messages of the folder now: name them by UID")


def checked(folder: ListedMailbox, expect: int | None, actual: int) -> int:
    """ValidityChanged."""
    if expect is not None and actual != expect:
        raise ValidityChanged(folder.name, expect, actual)
    return actual
