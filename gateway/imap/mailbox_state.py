"""What one process knows of one selected mailbox: UIDs, flag masks and MODSEQs in arrays, 20 octets a message.

Pure: the registry (`states.py`) reads the store, has what it says prepared, in a thread unless it is little, and
commits it; sessions look at the state through a `View`.
An append extends the arrays in place and only an expunge makes new ones, so a view that has not been told of an
expunge yet keeps the old UID array, and all others share the current one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.model import flags as model_flags
from gateway.model import sequence
from gateway.model.ids import InboxId, MailboxId, UidValidity

from .flag_change import Arrays, FlagChange, done

Row = tuple[int, int, int]
"""(uid, flag mask, modseq)"""
Columns = tuple["array[int]", "array[int]", "array[int]"]
"""UIDs, flag masks, MODSEQs"""

BYTES_A_MESSAGE: Final = 20
LOGGED_UIDS: Final = 4096  # flag changes remembered by UID; views that are further behind scan the MODSEQ array
PATCHED: Final = 500  # changed messages that are written to the arrays in place; for more, copies are made first
NOTHING: Final[dict[int, int]] = {}


@dataclass(frozen=True, slots=True)
class Delta:
    """What one `commit` changed. `expunged`: rising UIDs -> last flag masks; views may share it, nobody changes it.

    `since`: the MODSEQ at which the state stood before; what changed has higher ones.
    """

    flags: tuple[int, ...] = ()
    appended: int = 0
    expunged: dict[int, int] = field(default_factory=lambda: NOTHING)
    since: int = 0

    @property
    def empty(self) -> bool:
        return not (self.flags or self.appended or self.expunged)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change of a state before it takes place. `columns`: the state's arrays or new ones, still to be patched."""

    delta: Delta
    columns: Columns
    patches: list[Row]
    """(index, flag mask, modseq) of changed messages."""
    fresh: Columns
    first_unseen: int
    highest_modseq: int
    uidnext: int
    keywords: dict[int, str] | None


class MailboxState:
    """Arrays of one mailbox, in UID order; index i of each array is the same message."""

    __slots__ = (
        "_first_unseen",
        "_flag_texts",
        "_log",
        "_log_from",
        "_logged",
        "generation",
        "highest_modseq",
        "inbox_id",
        "keywords",
        "mailbox_id",
        "masks",
        "modseqs",
        "uidnext",
        "uids",
        "uidvalidity",
    )

    def __init__(self, inbox_id: InboxId, mailbox_id: MailboxId, uidvalidity: UidValidity) -> None:
        self.inbox_id = inbox_id
        self.mailbox_id = mailbox_id
        self.uidvalidity = uidvalidity
        self.uids: array[int] = array("I")
        self.masks: array[int] = array("Q")
        self.modseqs: array[int] = array("Q")
        self.generation = 0
        self.highest_modseq = 0
        self.uidnext = 1
        self.keywords: dict[int, str] = {}
        self._flag_texts: dict[int, bytes] = {}
        self._first_unseen = 0  # every message below this index is \Seen
        self._log: deque[tuple[int, tuple[int, ...]]] = deque()
        self._logged = 0
        self._log_from = 0

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays; what the registry's LRU counts."""
        return len(self.uids) * BYTES_A_MESSAGE + 2048

    def index_of(self, uid: int) -> int | None:
        index = bisect_left(self.uids, uid)
        return index if index < len(self.uids) and self.uids[index] == uid else None

    def first_unseen(self) -> int | None:
        """Index of the first message without \\Seen; remembered, so that asking again costs nothing."""
        masks = self.masks
        index, end = self._first_unseen, len(masks)
        while index < end and masks[index] & model_flags.SEEN:
            index += 1
        self._first_unseen = index
        return index if index < end else None

    def flag_names(self, mask: int) -> list[str]:
        return model_flags.names_of(mask, self.keywords)

    def flags_text(self, mask: int) -> bytes:
        """`\\Seen $Work` without parentheses, rendered once a mask: a bit never changes its meaning."""
        text = self._flag_texts.get(mask)
        if text is None:
            text = " ".join(self.flag_names(mask)).encode("ascii")
            self._flag_texts[mask] = text
        return text

    def load(self, rows: Iterable[Row]) -> None:
        """Append one page of the first load; rows rise in UID. No delta: nobody looks yet."""
        for uid, mask, modseq in rows:
            self.uids.append(uid)
            self.masks.append(mask)
            self.modseqs.append(modseq)

    def clear(self) -> None:
        """Forget all rows: a load starts again."""
        self.uids, self.masks, self.modseqs = array("I"), array("Q"), array("Q")
        self._first_unseen = 0

    def extend(self, uids: array[int], masks: array[int], modseqs: array[int]) -> None:
        """`load` for columns that a reader thread has made already."""
        self.uids.extend(uids)
        self.masks.extend(masks)
        self.modseqs.extend(modseqs)

    def loaded(self, highest_modseq: int) -> None:
        """The first load stands at `highest_modseq`, read before the first page; `commit` brings the rest."""
        self.highest_modseq = self._log_from = highest_modseq

    def followed(self) -> None:
        """What came while the first load ran is known: of that time no record tells which messages changed."""
        self._log.clear()
        self._logged = 0
        self._log_from = self.highest_modseq

    def prepare(
        self,
        rows: Iterable[Row],
        expunged: sequence.Ranges,
        *,
        highest_modseq: int,
        uidnext: int,
        keywords: Mapping[int, str] | None = None,
    ) -> Prepared:
        """What the store says happened after `self.highest_modseq`, as arrays; what is known already is skipped.

        Rows are new or changed messages in any order, each of them once; UIDs above the last one are appends.
        Idempotent, since the pages of a load and the changes after it overlap. Changes nothing, so that a reader's
        thread may do it while sessions look at the state; nothing may be committed in between.
        """
        columns = self.uids, self.masks, self.modseqs
        unseen = self._first_unseen
        gone = NOTHING
        slices = sequence.select(expunged, self.uids) if expunged else []
        if slices:
            unseen -= sum(max(0, min(stop, unseen) - min(start, unseen)) for start, stop in slices)
            columns, gone = self._without(slices)
        uids, masks, modseqs = columns
        changed: list[int] = []
        patches: list[Row] = []
        fresh: list[Row] = []
        last = uids[-1] if uids else 0
        for row in rows:
            uid, mask, modseq = row
            if uid > last:
                fresh.append(row)
                continue
            index = bisect_left(uids, uid)
            if uids[index] != uid or modseqs[index] >= modseq:
                continue
            patches.append((index, mask, modseq))
            changed.append(uid)  # also with the flags it had: its MODSEQ is news (RFC 7162 3.1.3)
            if not mask & model_flags.SEEN and index < unseen:
                unseen = index
        if len(patches) > PATCHED:
            columns = uids, masks[:], modseqs[:]
            _patch(columns, patches)
            patches = []
        fresh.sort()
        return Prepared(
            Delta(tuple(changed), len(fresh), gone, self.highest_modseq), columns, patches, _columns(fresh), unseen,
            highest_modseq, uidnext, None if keywords is None else dict(keywords),
        )  # fmt: skip

    def _without(self, slices: list[tuple[int, int]]) -> tuple[Columns, dict[int, int]]:
        """Arrays that lack the slices, and the flags of what was there."""
        gone: dict[int, int] = {}
        uids, masks, modseqs = array("I"), array("Q"), array("Q")
        at = 0
        for start, stop in [*slices, (len(self.uids), len(self.uids))]:
            uids.extend(self.uids[at:start])
            masks.extend(self.masks[at:start])
            modseqs.extend(self.modseqs[at:start])
            gone.update(zip(self.uids[start:stop], self.masks[start:stop], strict=True))
            at = stop
        return (uids, masks, modseqs), gone

    def commit(self, made: Prepared) -> Delta:
        """Take over what `prepare` made of this state: hardly any work, however much has changed."""
        delta = made.delta
        if made.keywords is not None:
            self._name_keywords(made.keywords)
        if delta.expunged:
            self.generation += 1
        self.uids, self.masks, self.modseqs = made.columns
        _patch(made.columns, made.patches)
        self.extend(*made.fresh)
        self._first_unseen = made.first_unseen
        self.highest_modseq = max(self.highest_modseq, made.highest_modseq)
        self.uidnext = max(self.uidnext, made.uidnext)
        if delta.flags:
            self._remember(delta.flags)
        return delta

    def change_flags(
        self,
        ranges: sequence.Ranges,
        change: FlagChange,
        modseq: int,
        count: int,
        *,
        unchanged_since: int | None = None,
        keywords: Mapping[int, str] | None = None,
    ) -> Delta | None:
        """What a unit with `modseq` has just done to a mailbox that was as this state is.

        Messages change whose flags do, unless their MODSEQ is above `unchanged_since`. `count`: in the store as many
        did; None, and nothing is done, where they are others.
        """
        slices = sequence.select(ranges, self.uids)
        arrays = Arrays(self.uids, self.masks, self.modseqs)
        found = done(arrays, slices, change, modseq, count, unchanged_since)
        if found is None:
            return None
        uids, first = found
        if not change.of(model_flags.SEEN) & model_flags.SEEN:
            self._first_unseen = min(self._first_unseen, first)
        if keywords is not None:
            self._name_keywords(keywords)
        delta = Delta(tuple(uids), since=self.highest_modseq)
        self.highest_modseq = modseq
        self._remember(delta.flags)
        return delta

    def remove(self, uids: sequence.Ranges, modseq: int) -> Delta | None:
        """The same for an expunge of `uids`; None where the state does not hold them all."""
        made = self.prepare((), uids, highest_modseq=modseq, uidnext=self.uidnext)
        return self.commit(made) if len(made.delta.expunged) == sequence.count(uids) else None

    def _name_keywords(self, keywords: Mapping[int, str]) -> None:
        if keywords != self.keywords:
            self.keywords = dict(keywords)
            self._flag_texts.clear()  # a mask may have been rendered before its keyword's name was known

    def _remember(self, changed: tuple[int, ...]) -> None:
        self._log.append((self.highest_modseq, changed))
        self._logged += len(changed)
        while self._logged > LOGGED_UIDS:
            self._log_from, dropped = self._log.popleft()
            self._logged -= len(dropped)

    def remembers(self, modseq: int) -> bool:
        """`changed_since(modseq)` need not look at every message."""
        return modseq >= self._log_from

    def changed_since(self, modseq: int, start: int, stop: int) -> Iterable[int]:
        """Indices in [start, stop), rising, of messages whose flags changed after the state stood at `modseq`.

        May name a message that was appended after `modseq` too: the caller knows which UIDs it has announced.
        """
        if modseq >= self.highest_modseq or start >= stop:
            return ()
        if self.remembers(modseq):
            recent: set[int] = set()
            for at, uids in reversed(self._log):
                if at <= modseq:
                    break
                recent.update(uids)
            found = (self.index_of(uid) for uid in sorted(recent))
            return [index for index in found if index is not None and start <= index < stop]
        return (index for index, at in enumerate(self.modseqs[start:stop], start) if at > modseq)


def _patch(columns: Columns, patches: list[Row]) -> None:
    _, masks, modseqs = columns
    for index, mask, modseq in patches:
        masks[index] = mask
        modseqs[index] = modseq


def _columns(rows: list[Row]) -> Columns:
    uids, masks, modseqs = zip(*rows, strict=True) if rows else ((), (), ())
    return array("I", uids), array("Q", masks), array("Q", modseqs)
