"""One session with an account: the connection, the lease, and the rows that it works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from gateway.ingest.writer import Ingest
from gateway.model.errors import GatewayError
from gateway.model.ids import MailboxId
from gateway.model.ports import Clock
from gateway.model.sequence import Ranges
from gateway.store.connectors import folders
from gateway.store.connectors.rows import Claim, ConnectorRow, FolderId, RemoteFolder
from gateway.store.db import Database, Tx
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import Refused
from gateway.upstream.wants import SearchWants

from .line import Line
from .options import Options
from .plan.budget import OctetBudget
from .plan.flags import FlagRules
from .profile import Profile
from .progress import SyncRun
from .recall import FolderRecall, Recall
from .settings import ConnectorSettings

T = TypeVar("T")


class StartAgain(GatewayError):
    """What was seen is looked at once more through a fresh connection, before anything is done about it."""


class Quarantined(GatewayError):
    """The server contradicts itself again and again; somebody has to look."""


def day_of(since: str, now: int) -> int | None:
    """`since` of the options, a date or a number of days (`checks.is_since`), as days since 1970-01-01."""
    if not since:
        return None
    if since[-1:] == "d" and since[:-1].isdigit():
        return now // 86_400 - int(since[:-1])
    return (date.fromisoformat(since) - date(1970, 1, 1)).days


@dataclass(slots=True)
class Work:
    """`folders`: rows as last read; a unit that changes one is followed by `reload`.

    `labels`: local mailboxes of labels, where the account has them (Gmail). `held`: what waits for a confirmation.
    `client` is that of `line`, until it is changed over (`Rounds.renewed`).
    """

    db: Database
    ingest: Ingest
    clock: Clock
    chance: Callable[[], float]
    settings: ConnectorSettings
    claim: Claim
    row: ConnectorRow
    options: Options
    profile: Profile
    line: Line
    client: ImapClient
    recall: Recall
    run: SyncRun
    octets: OctetBudget
    folders: dict[FolderId, RemoteFolder] = field(default_factory=dict)
    roles: dict[str, MailboxId] = field(default_factory=dict)
    labels: dict[str, MailboxId] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    labelled: bool = False
    """Mailboxes stand for labels: All Mail is read."""
    superseded: frozenset[int] = frozenset()
    """Folders that were read before All Mail was shown, or hidden (`plan.views`)."""
    personal: tuple[str, str | None] | None = None
    """Prefix of the personal namespace and delimiter, once somebody has asked."""

    @property
    def now(self) -> int:
        return int(self.clock())

    @property
    def read_only(self) -> bool:
        """Nothing may change upstream: EXAMINE, and no command that writes."""
        return self.options.sync.mode == "pull" or (
            self.options.sync.mode == "import" and self.options.imap.after_fetch == "keep"
        )

    @property
    def two_way(self) -> bool:
        return self.options.sync.mode == "two-way"

    @property
    def flag_rules(self) -> FlagRules:
        return FlagRules(two_way=self.two_way and self.options.sync.flags)

    @property
    def since_day(self) -> int | None:
        """Days since 1970-01-01 from which on mail is wanted; None: all."""
        return day_of(self.options.imap.since, self.now)

    def distrust(self, *names: str) -> None:
        """The server advertises what it cannot do."""
        for name in names:
            self.client.distrust(name)
            self.recall.distrust.add(name)
        self.run.note(f"the server refuses what it offers: {', '.join(names)}")

    async def search(self, wants: SearchWants | None = None) -> Ranges:
        """UID SEARCH, in the old form where ESEARCH is offered and refused. UpstreamError."""
        wants = SearchWants() if wants is None else wants
        try:
            return await self.client.search(wants)
        except Refused as error:
            if not error.bad or not self.client.has("ESEARCH"):
                raise
            self.distrust("ESEARCH", "PARTIAL")
            return await self.client.search(wants)

    def memory(self, folder: RemoteFolder) -> FolderRecall:
        return self.recall.of(folder.id)

    async def unit(self, unit: Callable[[Tx], T], *, octets: int = 0) -> T:
        """A unit of this connector; `unit` begins with the fence. LeaseLost and what it raises."""
        return await self.db.write(unit, inboxes=(self.claim.inbox_id,), octets=octets)

    async def reload(self, folder_id: FolderId) -> RemoteFolder:
        row = await self.db.read(lambda rx: folders.get(rx, self.claim.connector_id, folder_id))
        self.folders[folder_id] = row
        return row
