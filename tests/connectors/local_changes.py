"""What a client does to the inbox here, in tests of connectors: by mailbox names and positions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.model.flags import SYSTEM_BY_FOLDED
from gateway.model.ids import MailboxId
from gateway.store import content, mailboxes, messages
from gateway.store.db import Rx, Tx
from gateway.store.messages import Columns
from tests.connectors.kit import Connected, octets_digest
from tests.store.helpers import staged
from tests.support.upstream import FakeUpstream, example


class Local:
    """One inbox. UIDs are local ones; a mailbox that was read anew has the order of UIDs."""

    def __init__(self, here: Connected) -> None:
        self.here, self.db, self.inbox = here, here.db, here.inbox.id

    async def box(self, name: str) -> MailboxId:
        found = await self.db.read(lambda rx: mailboxes.by_name(rx, self.inbox, name))
        assert found is not None, name
        return found.id

    async def uids(self, name: str = "INBOX") -> list[int]:
        box = await self.box(name)
        return [row[0] for row in await self.db.read(lambda rx: messages.load(rx, box))]

    async def like(self, server: FakeUpstream, uids: Iterable[int], name: str = "INBOX") -> list[int]:
        """UIDs here of what has `uids` there, in a mailbox called the same, by their octets."""
        box, here = await self.box(name), await self.uids(name)

        def query(rx: Rx) -> dict[str, int]:
            rows = messages.fetch_rows(rx, box, here, Columns.CONTENT_ID)
            return {octets_digest(rx, number): uid for uid, number in rows}

        found = await self.db.read(query)
        there = server.account.mailbox(name).snapshot()
        return [found[there[uid][1]] for uid in uids]

    async def digest(self, name: str, uid: int) -> str:
        box = await self.box(name)

        def query(rx: Rx) -> str:
            return octets_digest(rx, messages.fetch_rows(rx, box, [uid], Columns.CONTENT_ID)[0][1])

        return await self.db.read(query)

    async def emails(self, name: str = "INBOX") -> set[str]:
        """EMAILIDs."""
        box, uids = await self.box(name), await self.uids(name)
        return {row[1] for row in await self.db.read(lambda rx: messages.fetch_rows(rx, box, uids, Columns.EMAIL_ID))}

    async def flag(self, name: str, uids: Iterable[int], op: str, *flags: str) -> None:
        box, mask, words = await self.box(name), 0, []
        for flag in flags:
            system = SYSTEM_BY_FOLDED.get(flag.lower())
            mask |= system or 0
            words += [flag] if system is None else []
        await self._write(
            lambda tx: messages.store_flags(tx, self.inbox, box, list(uids), op, mask, tuple(words))  # type: ignore[arg-type]
        )

    async def move(self, name: str, uids: Iterable[int], to: str) -> None:
        box, target = await self.box(name), await self.box(to)
        await self._write(lambda tx: messages.move(tx, self.inbox, box, sorted(uids), target, now=self._now))

    async def copy(self, name: str, uids: Iterable[int], to: str) -> None:
        box, target = await self.box(name), await self.box(to)
        await self._write(lambda tx: messages.copy(tx, self.inbox, box, sorted(uids), target, now=self._now))

    async def expunge(self, name: str, uids: Iterable[int]) -> None:
        box = await self.box(name)
        await self._write(
            lambda tx: messages.expunge(tx, self.inbox, box, sorted(uids), only_deleted=False, now=self._now)
        )

    async def append(self, name: str, octets: bytes | None = None, *, flags: int = 0) -> bytes:
        box, octets = await self.box(name), example() if octets is None else octets
        named = re.search(rb"^Message-ID: <([^>]+)>", octets, re.MULTILINE)
        made = staged(octets, message_id=named[1] if named else None)

        def unit(tx: Tx) -> None:
            content.complete(tx, made, self._now)
            messages.append(tx, box, self.inbox, made, internal_date=self._now, flags=flags, now=self._now)

        await self._write(unit)
        return octets

    async def create(self, name: str) -> None:
        await self._write(lambda tx: mailboxes.create(tx, self.inbox, name, now=self._now))

    async def rename(self, name: str, to: str) -> None:
        await self._write(lambda tx: mailboxes.rename(tx, self.inbox, name, to, now=self._now))

    async def delete(self, name: str) -> None:
        await self._write(lambda tx: mailboxes.delete(tx, self.inbox, name, now=self._now))

    async def names(self) -> set[str]:
        def query(rx: Rx) -> set[str]:
            return {box.name for box in mailboxes.list_mailboxes(rx, self.inbox) if not box.noselect}

        return await self.db.read(query)

    async def names_by_id(self) -> dict[int, str]:
        """Of all mailboxes, by their row ids."""
        found = await self.db.read(lambda rx: mailboxes.list_mailboxes(rx, self.inbox))
        return {int(box.id): box.name for box in found}

    @property
    def _now(self) -> int:
        return int(self.here.clock())

    async def _write(self, unit: object) -> None:
        def run(tx: Tx) -> None:
            unit(tx)  # type: ignore[operator]

        await self.db.write(run, inboxes=(self.inbox,))
