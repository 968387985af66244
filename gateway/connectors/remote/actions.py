"""What can be done by hand in an account, over one connection: folders are made and changed, messages flagged, copied,
moved, deleted, fetched and filed.

Folders are named as LIST shows them (or by role, `\\Trash`), messages by `Chosen`. Each action that names a folder
takes the UIDVALIDITY that its caller expects (`expect`) and raises ValidityChanged, with nothing done, when it is
another one. What the server refuses is an UpstreamError here, and RemoteFailed for who came in by `door.opened`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final

from gateway.connectors.plan.roles import INBOX
from gateway.model.errors import CannotChange, InvalidRequest
from gateway.model.flags import SYSTEM_BY_FOLDED, SYSTEM_FLAGS
from gateway.model.sequence import Ranges, count, numbers_of
from gateway.upstream import names
from gateway.upstream.errors import Refused
from gateway.upstream.values import ListedMailbox

from .carrying import Carrying
from .folders import spelled
from .octets import Transfers
from .ranges import Chosen
from .values import Made, Touched

OPS: Final = ("add", "remove", "set")
MAX_FLAGS: Final = 100


class RemoteActions(Transfers, Carrying):
    """All actions; made by `door.opened`."""

    async def flag(
        self, op: str, mailbox: str, wanted: Chosen, flags: Collection[str], *, expect: int | None = None
    ) -> Touched:
        """Add, remove or set flags; what they are afterwards as the server tells it, for it may not keep all."""
        if op not in OPS:
            raise InvalidRequest("Flags are added, removed or set")
        names_ = flag_names(flags)
        if not names_ and op != "set":
            raise InvalidRequest("Name a flag")
        folder = await self.folder(mailbox)
        selected = await self.select(folder, expect, write=True)
        uids = await self.uids(wanted)
        await self._client.store(uids, op, names_)
        after = {one.uid: tuple(sorted(one.flags or ())) async for one in self._client.fetch(uids)}
        return Touched(folder.name, selected.uidvalidity, _numbers(uids), tuple(sorted(after.items())))

    async def create(self, mailbox: str) -> Made:
        """Make a folder and subscribe to it; in the personal namespace, whether `mailbox` says so or not."""
        raw = await self._new_name(mailbox)
        await self._client.create(raw)
        self._listed = None
        return await self._made(raw)

    async def rename(self, mailbox: str, to: str, *, expect: int | None = None) -> Made:
        """Rename a folder, with those below it; the subscription goes along. CannotChange: INBOX."""
        folder = await self.folder(mailbox)
        if folder.raw.upper() == b"INBOX":  # RFC 3501 6.3.5: its mail would move, and it would stay
            raise CannotChange("INBOX cannot be renamed: make a folder and move its messages")
        raw = await self._new_name(to)
        if expect is not None:
            await self.validity(folder, expect)
        await self._client.rename(folder.raw, raw)
        self._listed = None
        with suppress(Refused):
            await self._client.unsubscribe(folder.raw)
        return await self._made(raw)

    async def delete_mailbox(self, mailbox: str, *, expect: int | None = None) -> Made:
        """Delete a folder and all that is in it. CannotChange: INBOX."""
        folder = await self.folder(mailbox)
        if folder.raw.upper() == b"INBOX":
            raise CannotChange("INBOX cannot be deleted")
        validity = await self.validity(folder, expect) if folder.selectable else 0
        await self._client.delete(folder.raw)
        self._listed = None
        with suppress(Refused):
            await self._client.unsubscribe(folder.raw)
        return Made(folder.name, validity, subscribed=False)

    async def _new_name(self, word: str) -> bytes:
        """By the delimiter of the personal namespace, or of what is listed."""
        if word.upper() == INBOX:
            raise CannotChange("INBOX is there already")
        spaces = await self._client.namespace()
        prefix, delimiter = spaces.personal[0] if spaces is not None and spaces.personal else (b"", None)
        if delimiter is None:
            delimiter = next((one.delimiter for one in await self._folders() if one.delimiter), None)
        elsewhere = tuple(raw for raw, _ in (*spaces.others, *spaces.shared) if raw) if spaces is not None else ()
        return spelled(word, delimiter, prefix, elsewhere)

    async def _made(self, raw: bytes) -> Made:
        subscribed = True
        try:
            await self._client.subscribe(raw)
        except Refused:
            subscribed = False
        made = ListedMailbox(raw, names.decode(raw), None, frozenset())
        return Made(made.name, await self.validity(made), subscribed)


def flag_names(flags: Iterable[str]) -> list[str]:
    """As servers spell them: `seen` and `\\seen` are `\\Seen`; other words are keywords. InvalidRequest."""
    system = {folded: name for name in SYSTEM_FLAGS for folded in (name.lower(), name.lower()[1:])}
    found = []
    for word in flags:
        name = system.get(word.lower(), word)
        if name.startswith("\\") and name.lower() not in SYSTEM_BY_FOLDED:
            raise InvalidRequest(f"{word} is none of the flags {', '.join(SYSTEM_FLAGS)}")
        found.append(name)
    if len(found) > MAX_FLAGS:
        raise InvalidRequest(f"One command takes {MAX_FLAGS} flags at most")
    return sorted(set(found))


def _numbers(uids: Ranges) -> tuple[int, ...]:
    assert count(uids) < 2**20  # of real messages, and limited by `ranges.resolve`
    return tuple(numbers_of(uids))
