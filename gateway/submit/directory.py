"""What acceptance asks the store about addresses and their inboxes, remembered for a second.

MAIL, RCPT and the keeping of a message ask the same, which costs as much CPU as the statements that keep it. A change
of an address or an inbox is heard of by its wake-up and forgets everything; the second bounds what a lost wake-up (from
another node) or a change without one can do. Mailboxes need neither: a unit that does not find one says so, and all is
forgotten then. Who may be logged in is not asked here: a revoked key's sessions are ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import INBOX, JUNK, SENT
from gateway.model.permissions import Principal, SentCopy, WhatIsBlocked
from gateway.model.rates import UNSAID, Rates
from gateway.store import inboxes, lists, mailboxes, uses
from gateway.store.addresses import Resolution, UnknownLocal, may_send_as, resolve_recipient
from gateway.store.db import Database, Rx, Wake, WakeKind
from gateway.store.lists import NOTHING_SAID, Decision

T = TypeVar("T")

SECONDS: Final = 1.0
MOST: Final = 4_096
"""Answers kept, each with an address of 320 octets at most."""
INLINE_INBOXES: Final = 4
"""Whom one question on the loop is about: hostile mail to a hundred made it wait half a second."""

_LISTS: Final = "lists"


@dataclass(frozen=True, slots=True)
class Author:
    """An inbox whose address a message bears. `sent`: its mailbox for copies, None when it has none.

    `rates`: what it may send, as far as it says.
    """

    sent_copy: SentCopy
    sent: MailboxId | None
    rates: Rates = UNSAID


class _NotKnown(Exception):
    """The store must be asked."""


class View:
    """The answers, either as remembered or as of one read transaction."""

    def __init__(self, known: dict[Hashable, object], rx: Rx | None) -> None:
        self._known = known
        self._rx = rx

    def owner(self, principal: Principal, address: str) -> InboxId | None:
        """The inbox that has `address`, within the key's scope."""
        scope = (principal.scope, principal.pod_id, principal.inbox_id)
        return self._answer((address, *scope), lambda rx: may_send_as(rx, *scope, address))

    def recipient(self, address: str) -> Resolution:
        """Where mail for `address` leads."""
        return self._answer(
            address, lambda rx: resolve_recipient(rx, address), keep=lambda found: not isinstance(found, UnknownLocal)
        )

    def inbox_mailbox(self, inbox: InboxId) -> MailboxId | None:
        """Where arrivals go."""

        def ask(rx: Rx) -> MailboxId | None:
            mailbox = mailboxes.by_name(rx, inbox, INBOX)
            return None if mailbox is None else mailbox.id

        return self._answer((INBOX, inbox), ask)

    def author(self, inbox: InboxId) -> Author | None:
        """None when the inbox is deleted."""

        def ask(rx: Rx) -> Author | None:
            found = inboxes.inbox_by_id(rx, inbox)
            if found is None or found.deleted_at is not None:
                return None
            sent = uses.find(rx, inbox, SENT)
            return Author(found.settings.sent_copy, None if sent is None else sent.id, found.settings.rates)

        return self._answer((SENT, inbox), ask, keep=lambda found: found is not None and found.sent is not None)

    def junk_mailbox(self, inbox: InboxId) -> MailboxId | None:
        """Where what is blocked goes; None: the inbox has no such mailbox."""

        def ask(rx: Rx) -> MailboxId | None:
            found = uses.find(rx, inbox, JUNK)
            return None if found is None else found.id

        return self._answer((JUNK, inbox), ask)

    def blocked(self, inbox: InboxId) -> WhatIsBlocked | None:
        """What becomes of blocked mail, as far as the inbox says."""

        def ask(rx: Rx) -> WhatIsBlocked | None:
            found = inboxes.inbox_by_id(rx, inbox)
            return None if found is None else found.settings.blocked

        return self._answer(("blocked", inbox), ask, keep=lambda found: True)

    def may_send(self, inbox: InboxId, recipient: str) -> Decision:
        """What lists say; a change of them comes with a wake-up, so that everything is kept."""
        if not self._answer(_LISTS, lists.any_entry):
            return NOTHING_SAID
        return self._answer((_LISTS, inbox, recipient), lambda rx: lists.may_send(rx, inbox, recipient))

    def may_receive(self, inbox: InboxId, senders: tuple[str, ...], answers: tuple[bytes, ...]) -> Decision:
        """The same for mail that comes in; what the inbox has sent so far is asked each time."""
        if not self._answer(_LISTS, lists.any_entry):
            return NOTHING_SAID
        return self._answer(
            (_LISTS, inbox, senders, answers),
            lambda rx: lists.may_receive(rx, inbox, senders, answers),
            keep=lambda found: not answers,
        )

    def _answer(
        self, key: Hashable, ask: Callable[[Rx], T], keep: Callable[[T], bool] = lambda found: found is not None
    ) -> T:
        """Only what was found is kept: what is missing may be made at any time, without a wake-up."""
        if key in self._known:
            return cast(T, self._known[key])
        if self._rx is None:
            raise _NotKnown
        found = ask(self._rx)
        if keep(found):
            self._known[key] = found
        return found


class Directory:
    """One a process."""

    def __init__(self, db: Database, *, now: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._now = now
        self._known: dict[Hashable, object] = {}
        self._until = 0.0
        db.subscribe(self._woken)

    async def ask(self, query: Callable[[View], T], *, inboxes: int = 1) -> T:
        """Runs `query` on what is known and, when that does not do, in one short read. Raises what `query` raises.

        `inboxes`: whom it is about. Lists take up to 6 ms for each, so that many are read in a thread.
        """
        now = self._now()
        if now >= self._until or len(self._known) > MOST:
            self.forget()
            self._until = now + SECONDS
        if self._known:
            try:
                return query(View(self._known, None))
            except _NotKnown:
                pass
        # A change while we read replaces the dictionary: what this read finds is then remembered by nobody.
        known = self._known
        read = self._db.tiny if inboxes <= INLINE_INBOXES else self._db.read
        return await read(lambda rx: query(View(known, rx)))

    def forget(self) -> None:
        """From now on the store is asked again."""
        self._known = {}

    def _woken(self, wake: Wake) -> None:
        if wake.kind is WakeKind.INBOX:
            self.forget()
