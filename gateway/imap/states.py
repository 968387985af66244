"""The mailbox states of this process: loaded once, kept current by one look a wake-up, shared by sessions."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from gateway.model.errors import MailboxGone, NotFound, Unavailable
from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import Mailbox
from gateway.model.ports import NULL_METRICS, Metrics
from gateway.model.sequence import Ranges, count, from_numbers
from gateway.store import changes, mailboxes, messages
from gateway.store.changes import MailboxChanges
from gateway.store.db import Database, Rx, Wake, WakeKind

from .inbox_watch import InboxWatches
from .mailbox_load import load_page
from .mailbox_state import Delta, MailboxState, Prepared
from .settings import CHANGE_CUT, LOAD_PAGE, TINY_CHANGE, ImapSettings
from .sort_cache import SortCache
from .turns import Turns

log = structlog.get_logger(__name__)

RETRY_AFTER: Final = 1.0  # seconds until a look that failed for an outage is repeated


class Watcher(Protocol):
    """A session that has the mailbox selected; called on the loop right after the state changed."""

    def mailbox_changed(self, delta: Delta) -> None: ...

    def mailbox_gone(self) -> None:
        """The mailbox was deleted, or its state cannot be continued: the session must end (RFC 2180 3.3)."""


class SharedState:
    """A `MailboxState` with its sessions."""

    __slots__ = (
        "_db", "_due", "_lock", "_looked", "_woken", "counted", "gone", "loaded", "scheduled", "sorting", "state",
        "watchers",
    )  # fmt: skip

    def __init__(self, db: Database, state: MailboxState) -> None:
        self._db = db
        self._lock = asyncio.Lock()
        self.state = state
        self.watchers: list[Watcher] = []
        self._woken = 1  # wake-ups so far that did not say up to where there is news
        self._looked = 0  # those among them that a finished look at the store has answered
        self._due = 0  # the highest MODSEQ that others named
        self.loaded = False
        self.gone = False
        self.scheduled = False
        self.sorting = SortCache()
        self.counted = 0
        """Octets by which it counts among the states that nobody has selected."""

    @property
    def stale(self) -> bool:
        """A wake-up came, and no look at the store that began after it has been applied yet."""
        return self._looked != self._woken or self._due > self.state.highest_modseq

    def woken(self, modseq: int | None) -> None:
        """There is news, up to `modseq` if that is known."""
        if modseq is None:
            self._woken += 1
        elif modseq > self._due:
            self._due = modseq

    async def fresh(self) -> None:
        """Look at the store if it was woken since the last look. Raises Unavailable, MailboxGone."""
        if self.stale:
            async with self._lock:
                if self.stale:
                    await self._refresh(small=False)
        if self.gone:
            raise MailboxGone("Mailbox has been deleted")

    async def settle(self) -> None:
        """Look at the store now, also when the mailbox may be gone: its watchers hear of it before this returns."""
        async with self._lock:
            if not self.gone:
                await self._refresh(small=False)

    async def catch_up(self, modseq: int, *, rows: int) -> None:
        """Have everything up to `modseq`, which the caller's own unit of about `rows` messages has just committed."""
        if self.state.highest_modseq < modseq:
            async with self._lock:
                if self.state.highest_modseq < modseq:
                    # One wake-up may be its own; with more, others' changes of unknown size come with it.
                    alone = self._woken - self._looked <= 1 and self._due <= modseq
                    await self._refresh(small=alone and rows <= TINY_CHANGE)

    async def follow(self, since: int, modseq: int, change: Callable[[], Delta | None], *, rows: int) -> None:
        """`catch_up` by `change`: it does to the state what the caller's unit did to a mailbox that stood at `since`.

        The store is looked at where the state stands elsewhere, and where `change` says None: it cannot.
        """
        if self.state.highest_modseq == since:
            async with self._lock:
                if self.state.highest_modseq == since and not self.gone and (delta := change()) is not None:
                    self._announce(delta)
        await self.catch_up(modseq, rows=rows)

    async def load(self) -> None:
        """The first load, in pages off the loop; then what changed while it ran."""
        async with self._lock:
            if self.loaded:
                return
            state = self.state
            mailbox = await self._db.tiny(lambda rx: mailboxes.by_id(rx, state.inbox_id, state.mailbox_id))
            if mailbox is None:
                raise NotFound("Folder not found")
            tiny = mailbox.messages <= TINY_CHANGE
            state.clear()  # a load that failed half-way may have left rows
            last = 0
            while True:
                if tiny:
                    page = await self._db.tiny(lambda rx, after=last: load_page(rx, state.mailbox_id, after))  # type: ignore[misc]
                else:
                    page = await self._db.offload(load_page, state.mailbox_id, last)
                uids, masks, modseqs = page
                state.extend(uids, masks, modseqs)
                if len(uids) < LOAD_PAGE:
                    break
                last = uids[-1]
            state.loaded(mailbox.highest_modseq)
            await self._refresh(small=True)
            state.followed()
            self.loaded = True

    async def _refresh(self, *, small: bool) -> None:
        """Follow the store. `small`: the change is thought to be one for the loop; if it is not, a thread has it."""
        state, since, woken, due = self.state, self.state.highest_modseq, self._woken, self._due
        made: Prepared | None
        if small:
            found = await self._db.tiny(
                lambda rx: changes.changes_since(rx, state.inbox_id, state.mailbox_id, since, most=TINY_CHANGE)
            )
            if found is None:
                small = False
            elif not found.exists:
                made = None
            elif _is_small(found):
                made = _prepared(state, found, found.expunged)
            else:
                small = False
        if not small:
            made = await self._db.read(lambda rx: _look(rx, state, since))
        self._looked = woken
        if self._due == due:
            self._due = 0
        if made is None:
            self.discontinue()
            return
        delta = state.commit(made)
        if not delta.empty:
            self._announce(delta)

    def _announce(self, delta: Delta) -> None:
        for watcher in tuple(self.watchers):
            watcher.mailbox_changed(delta)

    def discontinue(self) -> None:
        self.gone = True
        for watcher in tuple(self.watchers):
            watcher.mailbox_gone()


def _is_small(found: MailboxChanges) -> bool:
    rows = len(found.flags) + len(found.expunged)
    return found.complete and rows <= CHANGE_CUT and rows + count(found.expunged) <= CHANGE_CUT


def _look(rx: Rx, state: MailboxState, since: int) -> Prepared | None:
    """What became of the mailbox, prepared in the reader's thread; None when it was deleted."""
    found = changes.changes_since(rx, state.inbox_id, state.mailbox_id, since)
    if found is None or not found.exists:
        return None
    return _prepared(state, found, found.expunged if found.complete else _vanished(rx, state, found.uidnext))


def _prepared(state: MailboxState, found: MailboxChanges, expunged: Ranges) -> Prepared:
    return state.prepare(
        found.flags,
        expunged,
        highest_modseq=found.highest_modseq,
        uidnext=found.uidnext,
        keywords=found.keywords,
    )


def _vanished(rx: Rx, state: MailboxState, uidnext: int) -> Ranges:
    """UIDs of the state that are no longer in the mailbox, by comparison: old expunges are off the record."""
    living: set[int] = set()
    last = 0
    while True:
        uids, _, _ = messages.load_arrays(rx, state.mailbox_id, last, LOAD_PAGE)
        living.update(uids)
        if len(uids) < LOAD_PAGE:
            return from_numbers(uid for uid in state.uids if uid not in living and uid < uidnext)
        last = uids[-1]


class States:
    """All states of the process. Those nobody has selected stay, least recently used first out, up to `state_bytes`."""

    def __init__(self, db: Database, settings: ImapSettings | None = None, metrics: Metrics = NULL_METRICS) -> None:
        settings = settings or ImapSettings()
        self._db = db
        self._metrics = metrics
        self._limit = settings.state_bytes
        self._coalesce = settings.coalesce
        self._by_id: OrderedDict[MailboxId, SharedState] = OrderedDict()
        self._by_inbox: dict[InboxId, set[MailboxId]] = {}
        self._unsubscribe: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle_bytes = 0
        self._closed = False
        self.turns = Turns()
        """In which sessions are told of what they did not ask for."""
        self.inboxes = InboxWatches(db, self.turns, settings.coalesce)

    def start(self) -> None:
        """Listen to the store's wake-ups. Call on the loop, before the first session."""
        self._unsubscribe = self._db.subscribe(self._woken)

    async def close(self) -> None:
        self._closed = True
        if self._unsubscribe is not None:
            self._unsubscribe()
        await self.inboxes.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._by_id.clear()
        self._by_inbox.clear()

    # -- sessions ------------------------------------------------------------------------------------------------

    async def open(self, mailbox: Mailbox) -> SharedState:
        """The current state of a mailbox. Raises NotFound when it was deleted, Unavailable."""
        shared = self._by_id.get(mailbox.id)
        if shared is None or shared.gone:
            shared = SharedState(self._db, MailboxState(mailbox.inbox_id, mailbox.id, mailbox.uidvalidity))
            self._by_id[mailbox.id] = shared
            self._by_inbox.setdefault(mailbox.inbox_id, set()).add(mailbox.id)
        self._by_id.move_to_end(mailbox.id)
        try:
            if not shared.loaded:
                await shared.load()
            await shared.fresh()
        except BaseException as error:
            if not shared.watchers:
                self._forget(shared)
            if isinstance(error, MailboxGone):
                raise NotFound("Folder not found") from None
            raise
        return shared

    def watch(self, shared: SharedState, watcher: Watcher) -> None:
        self._idle_bytes -= shared.counted
        shared.counted = 0
        shared.watchers.append(watcher)

    def unwatch(self, shared: SharedState, watcher: Watcher) -> None:
        shared.watchers.remove(watcher)
        if shared.watchers:
            return
        if shared.gone:
            self._forget(shared)
            return
        shared.counted = shared.state.size_bytes + shared.sorting.size_bytes
        self._idle_bytes += shared.counted
        if self._idle_bytes > self._limit:
            self._evict()

    def _forget(self, shared: SharedState) -> None:
        state = shared.state
        self._idle_bytes -= shared.counted
        shared.counted = 0
        if self._by_id.get(state.mailbox_id) is shared:
            del self._by_id[state.mailbox_id]
            members = self._by_inbox.get(state.inbox_id, set())
            members.discard(state.mailbox_id)
            if not members:
                self._by_inbox.pop(state.inbox_id, None)

    def _evict(self) -> None:
        for shared in tuple(self._by_id.values()):  # least recently opened first
            if self._idle_bytes <= self._limit:
                break
            if not shared.watchers and shared.counted:
                self._forget(shared)
                self._metrics.count("imap_states_evicted_total")

    # -- wake-ups ------------------------------------------------------------------------------------------------

    def _woken(self, wake: Wake) -> None:
        if wake.kind not in {WakeKind.MAIL, WakeKind.INBOX}:
            return
        self.inboxes.woken(wake.inbox_id, wake.mailbox_id)
        if wake.mailbox_id is not None:
            found: tuple[MailboxId, ...] = (wake.mailbox_id,)
        elif wake.inbox_id is not None:
            found = tuple(self._by_inbox.get(wake.inbox_id, ()))
        else:
            found = tuple(self._by_id)
        for mailbox_id in found:
            shared = self._by_id.get(mailbox_id)
            if shared is None:
                continue
            shared.woken(wake.modseq)
            if shared.stale and shared.watchers and not shared.scheduled and not self._closed:
                shared.scheduled = True
                asyncio.get_running_loop().call_later(self._coalesce, self._look, shared)

    def _look(self, shared: SharedState) -> None:
        shared.scheduled = False
        if shared.stale and shared.watchers and not self._closed:
            task = asyncio.get_running_loop().create_task(self._background(shared))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _background(self, shared: SharedState) -> None:
        try:
            await shared.fresh()
        except MailboxGone:
            return
        except Unavailable:
            shared.scheduled = True
            asyncio.get_running_loop().call_later(RETRY_AFTER, self._look, shared)
        except Exception:
            # Sessions would go on with a state that no longer follows the store: they are ended instead.
            log.exception("imap.state.broken", mailbox_id=shared.state.mailbox_id)
            shared.discontinue()
