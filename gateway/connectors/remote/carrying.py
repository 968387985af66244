"""Messages from one folder to another, and away: COPY, MOVE, and what stands in for it where the server has none."""

from __future__ import annotations

from typing import Final

from gateway.connectors.plan.roles import TRASH
from gateway.model.errors import CannotChange, NotFound
from gateway.model.sequence import Ranges, count, from_numbers, numbers_of
from gateway.outbound.failure import Failure
from gateway.upstream.errors import Closed, Refused, UpstreamError
from gateway.upstream.reading import message_limit
from gateway.upstream.values import Copied, ListedMailbox, Selected

from . import ranges
from .errors import shown
from .opened import OpenAccount
from .ranges import MOST, Chosen
from .values import Carried, Touched

_DELETED: Final = ["\\Deleted"]
_GMAIL: Final = "X-GM-EXT-1"


class _Taken:
    """What has been carried until now, as the server told."""

    def __init__(self) -> None:
        self.done = 0
        self.told = True
        self.validity: int | None = None
        self.to: list[int] = []
        self.left_deleted = False

    def add(self, uids: Ranges, copied: Copied | None) -> None:
        self.done += count(uids)
        if copied is None:
            self.told = False
        else:
            self.validity = copied.uidvalidity
            self.to.extend(copied.uids.values())

    def result(self, folder: ListedMailbox, selected: Selected, uids: Ranges, to: ListedMailbox) -> Carried:
        return Carried(
            folder.name, selected.uidvalidity, tuple(numbers_of(uids)), to.name, self.validity,
            tuple(sorted(self.to)) if self.told else None, self.left_deleted,
        )  # fmt: skip


class Carrying(OpenAccount):
    """See `RemoteActions`."""

    async def copy(self, mailbox: str, wanted: Chosen, to: str, *, expect: int | None = None) -> Carried:
        """COPY. After a refusal in the middle the error tells how many were copied."""
        folder, target = await self.folder(mailbox), await self.folder(to)
        selected = await self.select(folder, expect)
        uids = await self.uids(wanted)
        taken = _Taken()
        for piece in self._pieces(uids):
            try:
                taken.add(piece, await self._client.copy(piece, target.raw))
            except UpstreamError as error:
                if isinstance(error, Closed):
                    error.add_note(f"Whether all were copied is not known: look into {target.name} before you go on.")
                _note(error, taken.done, uids, "copied")
                raise
        return taken.result(folder, selected, uids, target)

    async def move(self, mailbox: str, wanted: Chosen, to: str, *, expect: int | None = None) -> Carried:
        """MOVE, else COPY, \\Deleted and UID EXPUNGE. Without UIDPLUS the originals stay, marked (`left_deleted`).

        CannotChange: to where they are.
        """
        folder, target = await self.folder(mailbox), await self.folder(to)
        return await self._moved(folder, wanted, target, expect)

    async def delete(
        self, mailbox: str, wanted: Chosen, *, permanent: bool = False, expect: int | None = None
    ) -> Carried | Touched:
        """To Trash; `permanent`: for good, which needs UIDPLUS, for else mail that others have marked would go too.

        NotFound: there is no Trash. CannotChange: they are in Trash already, or cannot be deleted alone.
        """
        folder = await self.folder(mailbox)
        trash = (await self._roles()).by.get(TRASH)
        if permanent:
            return await self._deleted(folder, wanted, trash, expect)
        if trash is None:
            raise NotFound("The account has no Trash folder: make one, or delete for good with --permanent")
        if folder.raw == trash:
            raise CannotChange("These messages are in Trash already: delete them for good with --permanent")
        target = next(one for one in await self._folders() if one.raw == trash)
        return await self._moved(folder, wanted, target, expect)

    async def _moved(
        self, folder: ListedMailbox, wanted: Chosen, target: ListedMailbox, expect: int | None
    ) -> Carried:
        if folder.raw == target.raw:
            raise CannotChange(f"These messages are in {shown(folder.name)} already")
        selected = await self.select(folder, expect, write=True)
        uids = await self.uids(wanted)
        taken = _Taken()
        for piece in self._pieces(uids):
            try:
                await self._move_piece(piece, target, taken)
            except UpstreamError as error:
                _note(error, taken.done, uids, "moved")
                raise
        return taken.result(folder, selected, uids, target)

    async def _move_piece(self, piece: Ranges, target: ListedMailbox, taken: _Taken) -> None:
        client = self._client
        if client.has("MOVE") or client.has("IMAP4REV2"):
            try:
                taken.add(piece, await client.move(piece, target.raw))
            except Refused as error:
                if not error.bad:
                    raise
                client.distrust("MOVE")  # it is offered, and unknown
                client.distrust("IMAP4REV2")
            else:
                return
        copied = await client.copy(piece, target.raw)
        try:
            taken.left_deleted |= not await self._expunged(piece)
        except UpstreamError as error:
            error.add_note(f"{count(piece)} were copied to {target.name}, and are where they were too.")
            raise
        taken.add(piece, copied)

    async def _expunged(self, piece: Ranges) -> bool:
        """Marks them and takes them away; False: they stay marked."""
        client = self._client
        await client.store(piece, "add", _DELETED)
        if not client.has("UIDPLUS") and not client.has("IMAP4REV2"):
            return False
        try:
            await client.expunge(piece)
        except Refused as error:
            if not error.bad:
                raise
            client.distrust("UIDPLUS")
            client.distrust("IMAP4REV2")
            return False
        return True

    async def _deleted(
        self, folder: ListedMailbox, wanted: Chosen, trash: bytes | None, expect: int | None
    ) -> Touched:
        client = self._client
        if not client.has("UIDPLUS") and not client.has("IMAP4REV2"):
            raise CannotChange(
                "The server cannot delete single messages for good (no UIDPLUS); without --permanent they go to Trash"
            )
        selected = await self.select(folder, expect, write=True)
        uids = await self.uids(wanted)
        here = uids
        if client.has(_GMAIL) and trash is not None and folder.raw != trash:
            here = await self._into_gmails_trash(uids, trash)
        for piece in self._pieces(here):
            if not await self._expunged(piece):
                raise Refused(
                    Failure.REFUSED_COMMAND, "The server refuses UID EXPUNGE: the messages are only marked \\Deleted"
                )
        return Touched(folder.name, selected.uidvalidity, tuple(numbers_of(uids)))

    async def _into_gmails_trash(self, uids: Ranges, trash: bytes) -> Ranges:
        """Elsewhere in Gmail an expunged message only loses a label. Their UIDs in Trash, which is selected then."""
        moved: list[int] = []
        for piece in self._pieces(uids):
            copied = await self._client.move(piece, trash)
            if copied is None:
                raise Refused(
                    Failure.REFUSED_COMMAND, "The messages are in Trash now; where there the server does not tell"
                )
            moved.extend(copied.uids.values())
        await self._client.select(trash)
        return from_numbers(moved)

    def _pieces(self, uids: Ranges) -> list[Ranges]:
        """What one command of the server takes (RFC 9738): COPY of more is refused, MOVE half done."""
        return list(ranges.pieces(uids, min(message_limit(self._client) or MOST, MOST)))


def _note(error: UpstreamError, done: int, uids: Ranges, verb: str) -> None:
    if done:
        error.add_note(f"{done} of {count(uids)} messages were {verb} before.")
