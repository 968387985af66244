"""NOTIFY (RFC 5465): what a session has asked to hear of, and how far it has been told of the inbox's mailboxes.

Of the selected mailbox the `Teller` tells; here are the others: LIST for what happens to names, STATUS for messages.
STATUS shows what is true when it is sent, so it is also sent for what the client itself did in another mailbox.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from gateway.model.mailbox import DELIMITER
from gateway.store.listing import Listed
from gateway.wire import commands as c
from gateway.wire.notify import MESSAGE_EVENTS, SUPPORTED, NotifyEvent

from . import access, listing
from .access import Action
from .capabilities import CONDSTORE
from .fetch import MODSEQ
from .inbox_state import NOTHING, Aspect, InboxState, Named
from .inbox_watch import InboxWatch
from .mailbox_names import encoded
from .replies import Reply, no, ok
from .settings import NEWS_PAGE, NOTIFY_MOST
from .wishes import NO_EVENTS, Events, Wishes

if TYPE_CHECKING:
    from .session import Session

_NEW, _EXPUNGE, _FLAGS = NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE, NotifyEvent.FLAG_CHANGE
_NAME, _SUBSCRIPTION = NotifyEvent.MAILBOX_NAME, NotifyEvent.SUBSCRIPTION_CHANGE
_ENTRIES, _SERVER_ENTRIES = NotifyEvent.MAILBOX_METADATA_CHANGE, NotifyEvent.SERVER_METADATA_CHANGE

_BAD_EVENT: Final = no(
    "This event is not supported", b"BADEVENT (%b)" % b" ".join(event.value.encode("ascii") for event in SUPPORTED)
)
_TOO_MANY: Final = no("These are too many mailboxes to watch", b"NOTIFICATIONOVERFLOW")
_OVERFLOW: Final = b"* OK [NOTIFICATIONOVERFLOW] Too much has happened: nothing is told any more\r\n"
_EVERYTHING: Final = Aspect.NUMBERS | Aspect.UNSEEN | Aspect.MODSEQ


class Notify:
    """One session's, from its first NOTIFY on."""

    def __init__(self, session: Session, wishes: Wishes) -> None:
        self._session = session
        self.wishes = wishes
        self._watch: InboxWatch | None = None
        self._told = 0  # stamp of the inbox's state up to which it was told
        self._owed: dict[int, Aspect] = {}  # what changed in the selected mailbox, for when it no longer is
        self._expected: Mapping[str, bool] = {}
        self._expected_subscribed: Mapping[str, bool] = {}
        self.fresh = array("I")
        """UIDs of new messages of the selected mailbox that are still to be fetched."""
        self._made: set[int] = set()

    async def begin(self) -> None:
        """Watch the inbox if any mailbox but the selected one is asked for. Unavailable."""
        if self.wishes.of_others:
            session = self._session
            states = session.services.states
            self._watch = await states.inboxes.watch(session.require_principal().inbox_id, session.teller)
            self._told = self._watch.state.stamp

    def close(self) -> None:
        if self._watch is not None:
            self._session.services.states.inboxes.unwatch(self._watch, self._session.teller)
            self._watch = None

    # -- the selected mailbox --------------------------------------------------------------------------------------

    @property
    def tells_messages(self) -> bool:
        """New and expunged messages of the selected mailbox are told."""
        return _NEW in self.wishes.of_selected

    @property
    def tells_flags(self) -> bool:
        return _FLAGS in self.wishes.of_selected

    def made(self, uids: Iterable[int]) -> None:
        """The client itself made these messages of the selected mailbox: they are not fetched for it."""
        if self.wishes.items:
            self._made.update(uids)

    def arrived(self, uids: Iterable[int]) -> None:
        """EXISTS has told of `uids`."""
        if self.wishes.items:
            self.fresh.extend([uid for uid in uids if uid not in self._made])
            self._made.difference_update(uids)

    def deselected(self) -> None:
        self.fresh = array("I")
        self._made.clear()

    # -- all mailboxes -----------------------------------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """There is something to tell, or may be."""
        return self._watch is not None and (self._told != self._watch.state.stamp or bool(self._due()))

    def expect(self, names: Mapping[str, bool], subscribed: Mapping[str, bool] | None = None) -> None:
        """The running command made that these mailboxes exist or no longer do, and what is subscribed: no news."""
        self._expected, self._expected_subscribed = names, subscribed or {}

    def exists(self, name: str) -> bool:
        return self._watch is not None and self._watch.state.selectable(name)

    def wants_entries(self, mailbox: str) -> bool:
        """Whether changed annotations of `mailbox` are told, of the server if it is ""."""
        if not mailbox:
            return _SERVER_ENTRIES in self.wishes.of_others
        state = self._watch.state if self._watch is not None else None
        row = state.by_name.get(mailbox) if state is not None else None
        return row is not None and state is not None and _ENTRIES in self._wanted(state, row)

    @property
    def wants_any_entries(self) -> bool:
        return not self.wishes.of_others.isdisjoint({_ENTRIES, _SERVER_ENTRIES})

    async def tell(self) -> None:
        """Send what happened to other mailboxes. Others get the loop between pages. Unavailable, Closed."""
        expected, subscribed = self._expected, self._expected_subscribed
        self._expected, self._expected_subscribed = {}, {}
        watch, channel = self._watch, self._session.channel
        if watch is None:
            return
        if expected or subscribed:
            watch.woken(None)  # the wake-up of the own change may still be under way
        if watch.stale:
            await watch.fresh()
        state = watch.state
        while self._told != state.stamp or self._due():
            since, upto = self._told, state.stamp
            if since < state.forgotten and not self.wishes.of_others.isdisjoint({_NAME, _SUBSCRIPTION}):
                channel.send(_OVERFLOW)
                self._session.set_notify(Notify(self._session, Wishes()))
                return
            named = [each for each in state.named_after(since) if not self._own(state, each, expected, subscribed)]
            changed = [*self._due(), *state.changed_after(since)]
            self._told = upto
            for number, line in enumerate(self._lines(state, named, changed, since), 1):
                channel.send(line)
                if number % NEWS_PAGE == 0:
                    await channel.breathe()

    def _lines(self, state: InboxState, named: list[Named], changed: list[int], since: int) -> Iterator[bytes]:
        last = b""
        for each in named:
            line = self._list(state, each)
            if line and line != last:
                yield line
                last = line
            elif not line and each.old_name:
                yield from self._children(state, each)
        for mailbox_id in reversed(changed):
            line = self._status(state, mailbox_id, since)
            if line:
                yield line

    def _children(self, state: InboxState, parent: Named) -> Iterator[bytes]:
        """What went with a renamed mailbox that itself was not asked for."""
        below = parent.name + DELIMITER
        told = ""  # what is below it goes with it
        for name in listing.sorted_names(name for name in state.by_name if name.startswith(below)):
            row = state.by_name.get(name)
            if row is not None and not (told and name.startswith(told)):
                old = parent.old_name + name[len(parent.name) :]
                was = not row.noselect, old in state.subscribed
                line = self._list(state, Named(parent.stamp, name, old, False, *was))
                if line:
                    told = name + DELIMITER
                    yield line

    def _due(self) -> list[int]:
        """Mailboxes of which something is owed since they were the selected one."""
        selected = self._session.selected
        now = selected.mailbox.id if selected is not None else 0
        return [mailbox_id for mailbox_id in self._owed if mailbox_id != now]

    def _own(
        self, state: InboxState, each: Named, expected: Mapping[str, bool], subscribed: Mapping[str, bool]
    ) -> bool:
        """The session's own command did this, and it has stayed so (RFC 5465 5)."""
        if each.subscription:
            return subscribed.get(each.name) is (each.name in state.subscribed)
        if each.old_name and each.old_name not in expected:
            return False
        return expected.get(each.name) is state.selectable(each.name)

    def _wanted(self, state: InboxState, row: Listed) -> Events:
        role = row.role
        if not access.allowed(self._session.require_principal(), Action.READ, role):
            return NO_EVENTS
        return self.wishes.of(row.name, selectable=not row.noselect, subscribed=row.name in state.subscribed)

    def _list(self, state: InboxState, each: Named) -> bytes:
        """RFC 5465 5.4 and 5.5: the name as it is now, \\NonExistent also where it only holds other mailboxes."""
        row = state.by_name.get(each.name)
        role = row.role if row is not None else None
        if not access.allowed(self._session.require_principal(), Action.READ, role):
            return b""
        selectable = each.was_selectable or (row is not None and not row.noselect)
        is_subscribed = each.name in state.subscribed
        was_subscribed = each.was_subscribed or is_subscribed
        wanted = self.wishes.of(each.name, selectable=selectable, subscribed=was_subscribed)
        if each.old_name:
            wanted |= self.wishes.of(each.old_name, selectable=each.was_selectable, subscribed=each.was_subscribed)
        if (_SUBSCRIPTION if each.subscription else _NAME) not in wanted:
            return b""
        children = state.has_children(each.name)
        if each.old_name and row is None:
            # It went on since, as is told next; \NonExistent would say that the renamed mailbox is no more.
            marks = listing.bare_marks(has_children=children, subscribed=is_subscribed)
        else:
            there = row if row is not None and not row.noselect else None
            marks = listing.marks(there, has_children=children, subscribed=is_subscribed)
        old = b' ("OLDNAME" (%b))' % encoded(self._session, each.old_name) if each.old_name else b""
        return b'* LIST (%b) "/" %b%b\r\n' % (marks, encoded(self._session, each.name), old)

    def _status(self, state: InboxState, mailbox_id: int, since: int) -> bytes:
        known = state.known.get(mailbox_id)
        owed = self._owed.get(mailbox_id, NOTHING)
        if known is None:
            self._owed.pop(mailbox_id, None)
            return b""
        aspects = known.changed(since) | owed
        selected = self._session.selected
        if selected is not None and selected.mailbox.id == mailbox_id:
            self._owed[mailbox_id] = aspects
            return b""
        self._owed.pop(mailbox_id, None)
        row = known.row
        wanted = self._wanted(state, row)
        with_modseq = "CONDSTORE" in self._session.enabled
        news = _NEW in wanted and Aspect.NUMBERS in aspects
        if _FLAGS in wanted:
            news |= bool(aspects & (_EVERYTHING if with_modseq else Aspect.NUMBERS | Aspect.UNSEEN))
        if row.noselect or not news:
            return b""
        return self._status_line(row, wanted, aspects, with_modseq=with_modseq)

    def _status_line(self, row: Listed, wanted: Events, aspects: Aspect, *, with_modseq: bool) -> bytes:
        items: tuple[str, ...] = ("MESSAGES", "UIDNEXT") if Aspect.NUMBERS in aspects else ()
        items += ("UIDVALIDITY",)
        if _FLAGS in wanted:
            items += ("UNSEEN",)
        if with_modseq:
            items += ("HIGHESTMODSEQ",)
        values = listing.status_values(items, self._session.services.settings.max_message_size)
        return b"* STATUS %b %b\r\n" % (encoded(self._session, row.name), values(row))

    # -- NOTIFY SET ------------------------------------------------------------------------------------------------

    def too_many(self) -> bool:
        """More mailboxes are asked for than one session may watch."""
        if self._watch is None or self.wishes.of_others.isdisjoint(MESSAGE_EVENTS):
            return False
        state = self._watch.state
        rows = (known.row for known in state.known.values())
        asked = (row for row in rows if not self._wanted(state, row).isdisjoint(MESSAGE_EVENTS))
        return any(number > NOTIFY_MOST for number, _ in enumerate(asked, 1))

    async def describe(self, *, status: bool) -> None:
        """LIST for what the key may not read, and with `status` how the mailboxes are now (RFC 5465 3.1). Closed."""
        watch, session = self._watch, self._session
        if watch is None:
            return
        state, principal = watch.state, session.require_principal()
        rows = [state.by_name[name] for name in listing.sorted_names(state.by_name)]
        sent = 0
        for row in rows:
            line = b""
            if not access.allowed(principal, Action.READ, row.role):
                asked = self.wishes.of(row.name, selectable=not row.noselect, subscribed=row.name in state.subscribed)
                if asked:
                    line = b'* LIST (\\NoAccess) "/" %b\r\n' % encoded(session, row.name)
            elif status and not row.noselect:
                line = self._described(state, row)
            if line:
                session.channel.send(line)
                sent += 1
                if sent % NEWS_PAGE == 0:
                    await session.channel.breathe()

    def _described(self, state: InboxState, row: Listed) -> bytes:
        selected = self._session.selected
        wanted = self._wanted(state, row)
        if _NEW not in wanted or (selected is not None and selected.mailbox.id == row.id):
            return b""
        return self._status_line(row, wanted, _EVERYTHING, with_modseq=_FLAGS in wanted)


async def notify(session: Session, command: c.Notify) -> Reply:
    """RFC 5465 3.1: SET replaces what was asked for before, and tells what has accumulated."""
    if command.unknown or any(NotifyEvent.ANNOTATION_CHANGE in group.events for group in command.groups):
        return _BAD_EVENT
    wishes = Wishes(command.groups)
    new = Notify(session, wishes)
    await new.begin()
    try:
        if new.too_many():
            new.close()
            return _TOO_MANY
        if command.groups:
            session.set_notify(None)
            await session.tell(expunge=True)
            await new.describe(status=command.status)
        if MODSEQ in wishes.items:
            session.switch_on(CONDSTORE)
    except BaseException:
        new.close()
        raise
    session.set_notify(new)
    return ok("NOTIFY completed")
