"""What tests of connectors share: an account with a lease on it, folders, arrivals, and how it all stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model.ids import InboxId, MailboxId
from gateway.store import messages
from gateway.store.connectors import accounts, folders, lease, places, window
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.folders import Discovered
from gateway.store.connectors.local import flags_of
from gateway.store.connectors.rows import Claim, ConnectorRow, Flags, FolderId, RemoteFolder
from gateway.store.connectors.window import Arrival, Cursor, Imported, Target
from gateway.store.content import StagedContent
from gateway.store.db import Database, Tx
from gateway.store.inboxes import Inbox
from gateway.store.messages import Columns
from tests.store.helpers import NOW, mailbox_id, make_inbox, staged

ACCOUNT = "anna@elsewhere.test"
NODE, LIFE = "node", "life"
VALIDITY = 77


@dataclass
class Account:
    """A connector that this test's worker owns."""

    db: Database
    inbox: Inbox
    row: ConnectorRow
    claim: Claim
    now: int = NOW

    async def folder(
        self, name: str = "INBOX", *, local: str | None = "INBOX", uidnext: int = 1, validity: int = VALIDITY,
        everything: bool = False,
    ) -> RemoteFolder:  # fmt: skip
        """A folder that was discovered, linked and looked at; others stay as they are."""
        known = await self.folders()
        shown = [Discovered(each.raw, each.name, each.delimiter, True) for each in known if not each.gone]
        box = None if local is None else await mailbox_id(self.db, self.inbox.id, local)

        def unit(tx: Tx) -> FolderId:
            found = folders.discovered(
                tx, self.claim, [*shown, Discovered(name.encode(), name, "/", True)], now=self.now
            )
            made = next(each.id for each in found if each.raw == name.encode())
            folders.link(tx, self.claim, made, box, everything=everything, now=self.now)
            folders.snapshot(tx, self.claim, made, uidvalidity=validity, uidnext=uidnext, modseq=5, now=self.now)
            return made

        return await self.get(await self.write(unit))

    async def folders(self) -> list[RemoteFolder]:
        return await self.db.read(lambda rx: folders.of_connector(rx, self.row.id))

    async def get(self, folder: FolderId) -> RemoteFolder:
        return await self.db.read(lambda rx: folders.get(rx, self.row.id, folder))

    async def write(self, unit: Any) -> Any:
        return await self.db.write(unit, inboxes=(self.inbox.id,))

    async def twice(self, unit: Any) -> Any:
        """A unit that a crash made a worker repeat: what the second run returns."""
        await self.write(unit)
        return await self.write(unit)

    async def bring(
        self, folder: RemoteFolder, arrivals: Sequence[Arrival], cursor: Cursor | None = None
    ) -> Imported:
        validity = folder.uidvalidity or 0
        found: Imported = await self.write(
            lambda tx: window.import_window(tx, self.claim, folder.id, validity, arrivals, cursor, now=self.now)
        )
        return found

    async def remote(self, folder: RemoteFolder, validity: int | None = None) -> dict[int, Any]:
        """UID upstream -> what is known."""
        wanted = validity or folder.uidvalidity or 0
        rows = await self.db.read(lambda rx: places.message_page(rx, folder.id, wanted))
        return {row.uid: row for row in rows}

    async def stands(self, folder: RemoteFolder, uids: Iterable[int], validity: int | None = None) -> dict[int, Any]:
        """UID upstream -> its places."""
        wanted = validity or folder.uidvalidity or 0
        return await self.db.read(lambda rx: places.places_of(rx, folder.id, wanted, list(uids)))

    async def box(self, name: str) -> MailboxId:
        return await mailbox_id(self.db, self.inbox.id, name)

    async def mail(self, name: str = "INBOX") -> dict[int, Flags]:
        """Local UID -> flags by name."""
        box = await self.box(name)

        def query(rx: Any) -> dict[int, Flags]:
            names = messages.keywords_of(rx, box)
            return {uid: flags_of(mask, names) for uid, mask, _ in messages.load(rx, box)}

        return await self.db.read(query)

    async def email_ids(self, name: str = "INBOX") -> dict[int, str]:
        box = await self.box(name)
        uids = sorted(await self.mail(name))
        rows = await self.db.read(lambda rx: messages.fetch_rows(rx, box, uids, Columns.EMAIL_ID))
        return dict(rows)

    async def modseq(self) -> int:
        from gateway.store.connectors.local import modseq_now

        return await self.db.read(lambda rx: modseq_now(rx, self.inbox.id))


async def make_account(db: Database, *, address: str = ACCOUNT, name: str = "work", **options: Any) -> Account:
    inbox = await make_inbox(db)
    row = await db.write(
        lambda tx: accounts.create(
            tx, NewConnector(inbox.pod_id, name, address, inbox_id=inbox.id, **options), now=NOW
        )
    )

    def take(tx: Tx) -> Claim | None:
        lease.join(tx, NODE, LIFE, NOW)
        return lease.claim_one(tx, row.id, NODE, LIFE, NOW)

    claim = await db.write(take)
    assert claim is not None
    return Account(db, inbox, row, claim)


def octets(text: str) -> bytes:
    return f"Subject: {text}\r\nMessage-ID: <{text}@elsewhere.test>\r\n\r\n{text}\r\n".encode()


def body(text: str) -> StagedContent:
    return staged(octets(text), message_id=f"{text}@elsewhere.test".encode())


def arrival(
    uid: int, *boxes: InboxId | MailboxId, text: str | None = None, flags: Flags = (0, ()), key: str | None = None,
    content: bool = True, **facts: Any,
) -> Arrival:  # fmt: skip
    text = text or f"message-{uid}"
    return Arrival(
        uid, flags, NOW - uid, body(text) if content else None, [Target(MailboxId(box)) for box in boxes],
        source_key=key or f"sha256:{text}", **facts,
    )  # fmt: skip
