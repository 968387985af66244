"""One session's view of a mailbox: what it has been told, and what it must still be told.

RFC 3501 2.3.1.2: a message sequence number is a position in *this* session's list, which changes only when the session
is told EXISTS or EXPUNGE. Pure: `note` takes what happened, `updates` says what to send now.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.model import sequence
from gateway.model.errors import InvalidRequest

from .mailbox_state import NOTHING, Delta, MailboxState

Slices = list[tuple[int, int]]
"""Half-open index slices of a view, rising; index i is sequence number i + 1."""


@dataclass(frozen=True, slots=True)
class Updates:
    """Untagged responses in the order to send them: EXPUNGE, EXISTS, FETCH.

    `expunged`: sequence numbers, each counted after the ones before it (RFC 3501 7.4.1); `exists`: the new number of
    messages when new ones are announced; `flags`: (sequence number, UID, mask).
    """

    expunged: tuple[int, ...] = ()
    exists: int | None = None
    flags: tuple[tuple[int, int, int], ...] = ()


NO_UPDATES = Updates()


class View:
    """Sequence numbers of one session over a shared state.

    `uids[:length]` is the session's list. The array is the state's own while no expunge is pending; with expunges
    pending it is an older one, or a private copy once new messages were announced beside withheld expunges.
    """

    __slots__ = ("_flags_modseq", "_private", "_told", "last_uid", "length", "pending", "state", "uids")

    def __init__(self, state: MailboxState) -> None:
        self.state = state
        self.uids = state.uids
        self.length = len(state.uids)
        self.last_uid = state.uids[-1] if state.uids else 0
        self.pending: Mapping[int, int] = NOTHING
        """Expunged but not told: UID -> its last flags."""
        self._private = False
        self._flags_modseq = state.highest_modseq
        self._told: dict[int, int] | None = None

    @property
    def quiet(self) -> bool:
        """Nothing at all to tell: the common case of a NOOP."""
        state = self.state
        return (
            not self.pending
            and self._flags_modseq == state.highest_modseq
            and self._told is None
            and self.length == len(state.uids)
        )

    # -- what happened -------------------------------------------------------------------------------------------

    def note(self, delta: Delta) -> None:
        """Take in what `state.apply` just changed (call once a delta, after it)."""
        if not delta.expunged:
            return
        known = {uid: mask for uid, mask in delta.expunged.items() if uid <= self.last_uid}
        if known:
            whole = delta.expunged if len(known) == len(delta.expunged) else known
            self.pending = {**self.pending, **known} if self.pending else whole
        elif not self.pending:
            self.uids = self.state.uids  # only messages that were never announced went: positions stay

    def told(self, masks: Mapping[int, int]) -> None:
        """The session itself set these flags (STORE.SILENT) or has just shown them: do not repeat them.

        Holds until the next `updates`, and only where the message still has that mask then.
        """
        if self._told is None:
            self._told = dict(masks)
        else:
            self._told.update(masks)

    def flags_known(self, uids: Iterable[int]) -> dict[int, int]:
        """UID -> flags of those of `uids` whose present flags are not news to the client."""
        state, told = self.state, self._told or NOTHING
        known = {}
        for uid in uids:
            index = state.index_of(uid)
            if index is None:
                continue
            mask = state.masks[index]
            if state.modseqs[index] <= self._flags_modseq or told.get(uid) == mask:
                known[uid] = mask
        return known

    # -- what to send --------------------------------------------------------------------------------------------

    def updates(self, *, expunge: bool) -> Updates:
        """What the session is to be told now; with `expunge` false EXPUNGEs are withheld (RFC 3501 7.4.1)."""
        if self.quiet:
            return NO_UPDATES
        expunged: tuple[int, ...] = ()
        if self.pending and expunge:
            expunged = self._tell_expunged()
        known = self.last_uid
        exists = self._tell_exists()
        return Updates(expunged, exists, self._tell_flags(known))

    def _tell_expunged(self) -> tuple[int, ...]:
        positions = sorted(bisect_left(self.uids, uid, 0, self.length) for uid in self.pending)
        self.pending = NOTHING
        self._private = False
        self.uids = self.state.uids
        self.length = bisect_right(self.uids, self.last_uid)
        return tuple(position + 1 - before for before, position in enumerate(positions))

    def _tell_exists(self) -> int | None:
        current = self.state.uids
        if not current or current[-1] <= self.last_uid:
            return None
        if self.pending:
            if not self._private:
                self.uids = self.uids[: self.length]
                self._private = True
            self.uids.extend(current[bisect_right(current, self.last_uid) :])
            self.length = len(self.uids)
        else:
            self.uids = current
            self.length = len(current)
        self.last_uid = current[-1]
        return self.length

    def _tell_flags(self, known: int) -> tuple[tuple[int, int, int], ...]:
        state, told = self.state, self._told or NOTHING
        found: list[tuple[int, int, int]] = []
        shared = self.uids is state.uids
        for index in state.changed_since(self._flags_modseq):
            uid = state.uids[index]
            if uid > known:
                break  # announced by this EXISTS or not at all: the client asks for its flags
            mask = state.masks[index]
            if told.get(uid) != mask:
                found.append((index + 1 if shared else self.number_of(uid), uid, mask))
        self._flags_modseq = state.highest_modseq
        self._told = None
        return tuple(found)

    # -- numbers -------------------------------------------------------------------------------------------------

    def number_of(self, uid: int) -> int:
        """Sequence number of a UID that is in the view."""
        return bisect_left(self.uids, uid, 0, self.length) + 1

    def index_of(self, uid: int) -> int | None:
        index = bisect_left(self.uids, uid, 0, self.length)
        return index if index < self.length and self.uids[index] == uid else None

    def by_number(self, numbers: sequence.SequenceSet) -> Slices:
        """Slices for a set of sequence numbers; InvalidRequest for one beyond EXISTS.

        RFC 3501 9 seq-number: "The server should respond with a tagged BAD response to a command that uses a message
        sequence number greater than the number of messages in the selected mailbox"; `*` in an empty mailbox too.
        """
        ranges = numbers.resolve(self.length)
        if not ranges or ranges[-1][1] > self.length:
            raise InvalidRequest("Invalid message sequence number")
        return [(low - 1, high) for low, high in ranges]

    def by_uid(self, uids: sequence.SequenceSet) -> Slices:
        """Slices for a set of UIDs; unknown ones are ignored (RFC 3501 6.4.8). `n:*` always holds the last message."""
        last = self.uids[self.length - 1] if self.length else 0
        ranges = uids.resolve(last)
        found = []
        start = 0
        for low, high in ranges:
            start = bisect_left(self.uids, low, start, self.length)
            stop = bisect_right(self.uids, high, start, self.length)
            if stop > start:
                found.append((start, stop))
            start = stop
        return found

    def uids_in(self, slices: Slices) -> array[int]:
        found: array[int] = array("I")
        for start, stop in slices:
            found.extend(self.uids[start:stop])
        return found

    def mask_of(self, uid: int) -> int:
        """Current flags; the last known ones of a message whose expunge is pending."""
        index = self.state.index_of(uid)
        return self.state.masks[index] if index is not None else self.pending.get(uid, 0)

    def masks_of(self, start: int, stop: int) -> Iterable[int]:
        """Flags of the view's slice, in order; a plain array slice in the common case."""
        if self.uids is self.state.uids:
            return self.state.masks[start:stop]
        return [self.mask_of(uid) for uid in self.uids[start:stop]]


def ranges_of(uids: Sequence[int]) -> sequence.Ranges:
    """Ranges that cover exactly the rising `uids`."""
    if not uids:
        return ()
    if uids[-1] - uids[0] + 1 == len(uids):
        return ((uids[0], uids[-1]),)
    found = []
    low = high = uids[0]
    for uid in uids:
        if uid > high + 1:
            found.append((low, high))
            low = uid
        high = uid
    found.append((low, high))
    return tuple(found)
