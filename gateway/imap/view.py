"""One session's view of a mailbox: what it has been told, and what it must still be told.

RFC 3501 2.3.1.2: a message sequence number is a position in *this* session's list, which changes only when the session
is told EXISTS or EXPUNGE. Pure: `note` takes what happened, `updates` says what to send now.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gateway.model import sequence
from gateway.model.errors import InvalidRequest

from .flag_change import SCATTERED
from .mailbox_state import NOTHING, Delta, MailboxState

Slices = list[tuple[int, int]]
"""Half-open index slices of a view, rising; index i is sequence number i + 1."""

ranges_of: Final = sequence.from_rising
SCANNED: Final = 50_000  # messages looked through for new flags a page: 3 ms


@dataclass(frozen=True, slots=True)
class Updates:
    """Untagged responses in the order to send them: EXPUNGE, EXISTS, FETCH.

    `expunged`: sequence numbers, each counted after the ones before it (RFC 3501 7.4.1); `vanished`: the same messages
    by rising UID; `exists`: the new number of messages when new ones are announced; `flags`: (sequence number, UID,
    mask, MODSEQ). `more`: a page is full, and what is left has the numbers that hold once these were sent.
    """

    expunged: tuple[int, ...] = ()
    vanished: tuple[int, ...] = ()
    exists: int | None = None
    flags: tuple[tuple[int, int, int, int], ...] = ()
    more: bool = False


NO_UPDATES = Updates()


class View:
    """Sequence numbers of one session over a shared state.

    `uids[:length]` is the session's list. The array is the state's own while no expunge is pending; with expunges
    pending it is an older one, or a private copy once some of them were told, or new messages beside withheld ones.

    Flags are told in rounds of rising UIDs, which other changes may interrupt: each message's flags as they are when
    its page is made, and what changes behind the page is the next round's.
    """

    __slots__ = (
        "_flags_modseq", "_floor", "_own", "_private", "_round", "_saved", "_told", "last_uid", "length",
        "modseqs_told", "pending", "state", "uids",
    )  # fmt: skip

    def __init__(self, state: MailboxState) -> None:
        self.state = state
        self.uids = state.uids
        self.length = len(state.uids)
        self.last_uid = state.uids[-1] if state.uids else 0
        self.pending: Mapping[int, int] = NOTHING
        """Expunged but not told: UID -> its last flags."""
        self._floor = 0  # below the MODSEQs of all pending expunges
        self._own: dict[int, int] | None = None  # `pending`, once it is this view's alone
        self._private = False
        self._flags_modseq = state.highest_modseq
        self._round: tuple[int, int, int] | None = None  # (MODSEQ it began at, last UID known then, next UID)
        self._told: dict[int, int] | None = None
        self.modseqs_told = False
        """The client is told MODSEQs (RFC 7162 3.1), so that a message with a new one is news whatever its flags."""
        self._saved: array[int] = array("I")  # first and last UID of each range that `$` stands for

    @property
    def told_modseq(self) -> int:
        """The highest MODSEQ up to which the client has been told every change: with it it may come back (RFC 7162 6).

        Not above what is withheld, whatever higher MODSEQs of other messages it has seen.
        """
        return min(self._floor, self._flags_modseq) if self.pending else self._flags_modseq

    def tell_modseqs(self) -> None:
        """From now on the client is told MODSEQs."""
        if not self.modseqs_told:
            self.modseqs_told = True
            self._told = None  # these were masks

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

    def has_news(self, *, expunge: bool, new: bool, flags: bool) -> bool:
        """Whether `updates` with the same arguments has anything to say."""
        if self.quiet:
            return False
        state = self.state
        return (
            (expunge and bool(self.pending))
            or (new and bool(state.uids) and state.uids[-1] > self.last_uid)
            or (flags and (self._flags_modseq != state.highest_modseq or self._told is not None))
        )

    # -- what happened -------------------------------------------------------------------------------------------

    def note(self, delta: Delta) -> None:
        """Take in what `state.commit` just changed (call once a delta, after it)."""
        if not delta.expunged:
            return
        known = delta.expunged
        if next(reversed(known)) > self.last_uid:
            known = {uid: mask for uid, mask in known.items() if uid <= self.last_uid}
        if known:
            if not self.pending:
                self._floor = delta.since
            if self._own is not None:
                self._own.update(known)
            elif self.pending:
                self.pending = self._own = {**self.pending, **known}
            else:
                self.pending = known
        elif not self.pending:
            self.uids = self.state.uids  # only messages that were never announced went: positions stay

    def told(self, shown: Mapping[int, int]) -> None:
        """UID -> mask that the session itself has set (STORE.SILENT) or has just shown: not to be repeated.

        With `modseqs_told` UID -> MODSEQ. Holds until the next `updates`, and only where the message still has that
        value then.
        """
        if self._told is None:
            self._told = dict(shown)
        else:
            self._told.update(shown)

    def knows_own(self, since: int, modseq: int | None) -> bool:
        """The session has itself changed flags, from MODSEQ `since` on to `modseq`, and shows or reckons each of them.

        True, and noted, if nothing before and nothing after is news to it: then nothing is. Else `told` says what it
        knows.
        """
        if modseq != self.state.highest_modseq or since != self._flags_modseq:
            return False
        if self._told is not None or self._round is not None:
            return False
        self._flags_modseq = modseq
        return True

    def flags_known(self, uids: sequence.Ranges) -> Callable[[], dict[int, int]]:
        """What says later: UID -> flags of those of `uids` whose flags, as they are now, are no news to the client."""
        state, told = self.state, self._told or NOTHING
        # Mostly nobody asks: of thousands of ranges all between the first and the last is copied, at once.
        scattered = len(uids) > SCATTERED
        slices = sequence.select(((uids[0][0], uids[-1][1]),) if scattered else uids, state.uids)
        columns = [(state.uids[start:stop], state.masks[start:stop]) for start, stop in slices]

        def all_of_them() -> dict[int, int]:
            known: dict[int, int] = {}
            for there, masks in columns:
                for start, stop in sequence.select(uids, there) if scattered else [(0, len(there))]:
                    known.update(zip(there[start:stop], masks[start:stop], strict=True))
            return known

        if self._flags_modseq == state.highest_modseq:
            return all_of_them
        values = state.modseqs if self.modseqs_told else state.masks

        def is_known(uid: int) -> bool:
            index = bisect_left(state.uids, uid)
            return state.modseqs[index] <= self._flags_modseq or told.get(uid) == values[index]

        known = {uid: mask for uid, mask in all_of_them().items() if is_known(uid)}
        return lambda: known

    def rows(self, uids: sequence.Ranges) -> list[tuple[int, int, int, int]]:
        """(number, UID, mask, MODSEQ) of those of `uids`, all of the view, that have not been expunged."""
        state = self.state
        found: list[tuple[int, int, int, int]] = []
        for start, stop in sequence.select(uids, state.uids):
            there = state.uids[start:stop]
            shared = self.uids is state.uids
            numbers = range(start + 1, stop + 1) if shared else [self.number_of(uid) for uid in there]
            found += zip(numbers, there, state.masks[start:stop], state.modseqs[start:stop], strict=True)
        return found

    # -- what to send --------------------------------------------------------------------------------------------

    def updates(self, *, expunge: bool, new: bool = True, flags: bool = True, limit: int = 1 << 32) -> Updates:
        """What the session is to be told now; with `expunge` false EXPUNGEs are withheld (RFC 3501 7.4.1).

        So are new messages without `new`, and new flags without `flags` (RFC 5465).

        At most `limit` EXPUNGEs and FETCHes together, above 0: while there is `more`, call again. The numbers are those
        that hold when the page is sent before anything else is asked of the view.
        """
        if self.quiet:
            return NO_UPDATES
        vanished: tuple[int, ...] = ()
        expunged: tuple[int, ...] = ()
        if self.pending and expunge:
            if len(self.pending) > limit:
                vanished = self._some_pending(limit)
                return Updates(self._tell_some_expunged(vanished), vanished, more=True)
            vanished = tuple(sorted(self.pending))
            expunged = self._tell_expunged(vanished)
        known = self.last_uid
        exists = self._tell_exists() if new else None
        if not flags:
            return Updates(expunged, vanished, exists)
        if len(expunged) == limit:
            return Updates(expunged, vanished, exists, more=not self.quiet)
        changed = self._tell_flags(known, limit - len(expunged))
        return Updates(expunged, vanished, exists, changed, more=self._round is not None)

    def _tell_expunged(self, vanished: Iterable[int]) -> tuple[int, ...]:
        positions = [bisect_left(self.uids, uid, 0, self.length) for uid in vanished]
        self.pending, self._own = NOTHING, None
        self._private = False
        self.uids = self.state.uids
        self.length = bisect_right(self.uids, self.last_uid)
        return _numbers(positions)

    def _some_pending(self, limit: int) -> tuple[int, ...]:
        """The latest `limit` of those pending, which are so no more."""
        if self._own is None:
            self.pending = self._own = dict(self.pending)
        return tuple(sorted(self._own.popitem()[0] for _ in range(limit)))

    def _tell_some_expunged(self, vanished: Iterable[int]) -> tuple[int, ...]:
        """What comes before the first of them in the list is only copied."""
        positions = [bisect_left(self.uids, uid, 0, self.length) for uid in vanished]
        left = self.uids[: positions[0]]
        for position, following in pairwise([*positions, self.length]):
            left.extend(self.uids[position + 1 : following])
        self.uids = left
        self.length = len(left)
        self._private = True
        return _numbers(positions)

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

    def _tell_flags(self, known: int, limit: int) -> tuple[tuple[int, int, int, int], ...]:
        state, told = self.state, self._told or NOTHING
        values = state.modseqs if self.modseqs_told else state.masks
        # Above `known` it is announced by this EXISTS or not at all: the client asks for its flags.
        began, known, following = self._round or (state.highest_modseq, known, 0)
        start = bisect_left(state.uids, following)
        end = bisect_right(state.uids, known)
        stop = end if state.remembers(self._flags_modseq) else min(end, start + SCANNED)
        found: list[tuple[int, int, int, int]] = []
        shared = self.uids is state.uids
        for index in state.changed_since(self._flags_modseq, start, stop):
            uid = state.uids[index]
            if told.get(uid) != values[index]:
                if len(found) == limit:
                    self._round = (began, known, uid)
                    return tuple(found)
                number = index + 1 if shared else self.number_of(uid)
                found.append((number, uid, state.masks[index], state.modseqs[index]))
        if stop < end:
            self._round = (began, known, state.uids[stop])
            return tuple(found)
        self._round = None
        self._flags_modseq = began
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
        if numbers.saved:
            return self._by_uids(self.saved_ranges())
        ranges = numbers.resolve(self.length)
        if not ranges or ranges[-1][1] > self.length:
            raise InvalidRequest("Invalid message sequence number")
        return [(low - 1, high) for low, high in ranges]

    def by_uid(self, uids: sequence.SequenceSet) -> Slices:
        """Slices for a set of UIDs; unknown ones are ignored (RFC 3501 6.4.8). `n:*` always holds the last message."""
        last = self.uids[self.length - 1] if self.length else 0
        return self._by_uids(self.saved_ranges() if uids.saved else uids.resolve(last))

    def save(self, slices: Slices) -> None:
        """What `$` stands for from now on (RFC 5182 2.1). UIDs are kept, so what is expunged leaves it by itself."""
        self._saved = array("I", [uid for start, stop in slices for uid in (self.uids[start], self.uids[stop - 1])])

    def saved_ranges(self) -> Iterator[tuple[int, int]]:
        """First and last UID of neighbours in the view, rising: nothing can come to stand between them."""
        return zip(self._saved[::2], self._saved[1::2], strict=True)

    def _by_uids(self, ranges: Iterable[tuple[int, int]]) -> Slices:
        found: Slices = []
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

    def modseq_of(self, uid: int) -> int:
        """Current MODSEQ; of a message whose expunge is pending the highest that it can have had."""
        index = self.state.index_of(uid)
        return self.state.modseqs[index] if index is not None else self._floor

    def modseqs_of(self, start: int, stop: int) -> Sequence[int]:
        """MODSEQs of the view's slice, in order."""
        if self.uids is self.state.uids:
            return self.state.modseqs[start:stop]
        return [self.modseq_of(uid) for uid in self.uids[start:stop]]


def _numbers(positions: list[int]) -> tuple[int, ...]:
    """Rising positions as EXPUNGE has them: each one counted after those before it have gone."""
    return tuple(position + 1 - before for before, position in enumerate(positions))
