"""Keywords of mail from elsewhere: a local mailbox has room for 58, and what does not fit is left out, not refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.model.flags import MAX_KEYWORDS
from gateway.model.ids import MailboxId
from gateway.store.db import Tx
from gateway.store.keywords import keywords_of


class Fitting:
    """Which keywords mailboxes have room for, within one unit under the inbox's lock. `dropped`: names that had none.

    What is left out somewhere belongs to the agreed flags of no place: else it would look as if somebody here had
    taken it away.
    """

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._known: dict[MailboxId, set[str]] = {}
        self._dropped: set[str] = set()

    @property
    def dropped(self) -> frozenset[str]:
        return frozenset(self._dropped)

    def of(self, names: Sequence[str], mailboxes: Iterable[MailboxId]) -> list[str]:
        """Those of `names` that fit into each of `mailboxes`, where they are counted from now on."""
        if not names:
            return []
        tables = [self._table(mailbox) for mailbox in mailboxes]
        kept = []
        for name in names:
            folded = name.lower()
            if all(folded in table or len(table) < MAX_KEYWORDS for table in tables):
                kept.append(name)
                for table in tables:
                    table.add(folded)
            else:
                self._dropped.add(name)
        return kept

    def _table(self, mailbox: MailboxId) -> set[str]:
        if mailbox not in self._known:
            self._known[mailbox] = {name.lower() for name in keywords_of(self._tx, mailbox).values()}
        return self._known[mailbox]
