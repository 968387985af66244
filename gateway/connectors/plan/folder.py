"""What to do next with a folder: from its row and from what SELECT just told, to one step. Pure.

    new -> snapshot -> forward -> changes -> backfill -> live

Whoever carries out a step stores what it brought in one unit, and asks again with the row as it is now; after a crash
the same row gives the same step. Cursors only say what is surely done: everything from `backfill_low` up to below
`uidnext` was fetched or is owed as poison, and all changes up to `highest_modseq` are applied.

The snapshot is taken before anything is fetched, and changes are asked for since the stored MODSEQ but stored as of
the snapshot's: what happens while we work is seen once more, never missed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from gateway.upstream.values import MailboxStatus

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
RECENT: Final = 100
OFTEN: Final = 2_000
"""Newest messages whose flags are looked at: at each pass, and each hour, where the server knows no MODSEQ."""


class Phase(StrEnum):
    """How far a folder has come for the first time; kept in its row."""

    NEW = "new"
    REMAP = "remap"
    """A remap began and has not ended."""
    BACKFILL = "backfill"
    LIVE = "live"


class Strategy(StrEnum):
    """How changes are found out."""

    QRESYNC = "qresync"  # CHANGEDSINCE with VANISHED (RFC 7162)
    CONDSTORE = "condstore"  # CHANGEDSINCE; what is gone by comparing UIDs
    PLAIN = "plain"  # flags by looking at them, what is gone by comparing UIDs


@dataclass(frozen=True, slots=True)
class FolderState:
    """What the row says. `exists`: messages upstream as far as we have accounted for them; times are Unix seconds.

    `modseq_ok` False is a latch: a server whose MODSEQs were wrong once is not believed again under this UIDVALIDITY.
    """

    phase: Phase = Phase.NEW
    uidvalidity: int = 0
    uidnext: int = 1
    highest_modseq: int = 0
    modseq_ok: bool = True
    exists: int = 0
    backfill_low: int = 1
    backfill_floor: int = 1
    listed_at: float = 0.0
    flags_at: float = 0.0
    """All flags were looked at."""
    recent_flags_at: float = 0.0
    """The flags of the OFTEN newest ones were."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What SELECT told, with UIDNEXT found out where it was left out; one pass works with one of these."""

    uidvalidity: int
    uidnext: int
    exists: int
    highest_modseq: int | None


@dataclass(frozen=True, slots=True)
class PassRules:
    """`qresync`, `condstore`: the server has it, it was enabled and is trusted. Seconds between full looks.

    `want_all`: somebody asked for everything to be compared now; `asked_at` when.
    """

    qresync: bool = False
    condstore: bool = False
    list_every: float = 6 * HOUR
    flags_every: float = 12 * HOUR
    often_every: float = HOUR
    sure_every: float = 7 * DAY
    """Full looks where MODSEQs are trusted: they are only a check."""
    asked_at: float = 0.0
    backfill: bool = True


@dataclass(frozen=True, slots=True)
class PassSoFar:
    """What was done in this pass, and needs not be done in it again."""

    compared: bool = False
    looked: bool = False
    frozen: bool = False
    """A window of FORWARD brought messages, and HIGHESTMODSEQ is what was stored before them (`frozen`)."""


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """The folder is seen for the first time: store `state`."""

    state: FolderState


@dataclass(frozen=True, slots=True)
class Remap:
    """What the rows say of UIDs is no longer so: match the messages again, then store `state`.

    What was not matched is found by backfill, which passes over all that is known.
    """

    reason: str
    state: FolderState


@dataclass(frozen=True, slots=True)
class Retreat:
    """UIDNEXT went back under the same UIDVALIDITY, as after a restored backup: UIDs from there on will be given again.

    Believed when the UIDs of the folder say the same, twice. Then forget (no mail is touched) what is known from
    `uidnext` on, and store that as the cursor.
    """

    uidnext: int


@dataclass(frozen=True, slots=True)
class Forward:
    """Fetch what came: UIDs from `low` to below `target`."""

    low: int
    target: int


@dataclass(frozen=True, slots=True)
class AskChanges:
    """FETCH `1:below-1` (CHANGEDSINCE `since`) and, with `vanished`, what is gone; then store `highest_modseq`."""

    since: int
    highest_modseq: int
    vanished: bool


@dataclass(frozen=True, slots=True)
class CompareUids:
    """List all UIDs and compare: what is gone, and what we never fetched. Then store how many there are, and when."""

    reason: str


@dataclass(frozen=True, slots=True)
class LookAtFlags:
    """Fetch flags of the `newest` messages, None: of all, in windows; then store the time."""

    newest: int | None


@dataclass(frozen=True, slots=True)
class Distrust:
    """Latch: MODSEQs of this folder say nothing. Store `modseq_ok` False."""

    reason: str


@dataclass(frozen=True, slots=True)
class Backfill:
    """Fetch older mail: a window below `low`, not below `floor`; then ask again, for newer things come first."""

    low: int
    floor: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be done until something is heard. `first_time`: store phase LIVE."""

    first_time: bool = False


Step = TakeSnapshot | Remap | Retreat | Forward | AskChanges | CompareUids | LookAtFlags | Distrust | Backfill | Rest


def strategy(state: FolderState, seen: Seen, rules: PassRules) -> Strategy:
    if not state.modseq_ok or not seen.highest_modseq:
        return Strategy.PLAIN
    if rules.qresync:
        return Strategy.QRESYNC
    return Strategy.CONDSTORE if rules.condstore else Strategy.PLAIN


def snapshot(seen: Seen, now: float) -> FolderState:
    """The row of a folder that begins now: forward from here on, all that is there already by backfill.

    Flags and UIDs come with what is fetched from now on, so the first full looks are due a period later.
    """
    return FolderState(
        Phase.BACKFILL,
        seen.uidvalidity,
        seen.uidnext,
        seen.highest_modseq or 0,
        True,
        seen.exists,
        seen.uidnext,
        1,
        now,
        now,
        now,
    )


def next_step(state: FolderState, seen: Seen, rules: PassRules, now: float, done: PassSoFar = PassSoFar()) -> Step:
    """What brings the folder nearer to what `seen` says; `Rest` when a pass is over."""
    if state.phase is Phase.NEW:
        return TakeSnapshot(snapshot(seen, now))
    if seen.uidvalidity != state.uidvalidity:
        return Remap("UIDVALIDITY is another one", snapshot(seen, now))
    if state.phase is Phase.REMAP:
        return Remap("a remap has not ended", state)
    if seen.uidnext < state.uidnext:
        return Retreat(seen.uidnext)
    distrust = _distrust(state, seen, rules, done)
    if distrust is not None:
        return distrust
    if state.uidnext < seen.uidnext:
        return Forward(state.uidnext, seen.uidnext)
    how = strategy(state, seen, rules)
    if how is not Strategy.PLAIN and (seen.highest_modseq or 0) > state.highest_modseq:
        return AskChanges(state.highest_modseq, seen.highest_modseq or 0, how is Strategy.QRESYNC)
    compare = None if done.compared else _compare(state, seen, rules, how, now)
    if compare is not None:
        return compare
    look = _look(state, rules, how, now, looked=done.looked)
    if look is not None:
        return look
    if rules.backfill and state.backfill_low > state.backfill_floor:
        return Backfill(state.backfill_low, state.backfill_floor)
    return Rest(first_time=state.phase is Phase.BACKFILL and state.backfill_low <= state.backfill_floor)


def _distrust(state: FolderState, seen: Seen, rules: PassRules, done: PassSoFar) -> Distrust | None:
    if not state.modseq_ok or not (rules.qresync or rules.condstore):
        return None
    told = seen.highest_modseq
    if not told:
        return Distrust("the server tells no HIGHESTMODSEQ")
    if told < state.highest_modseq:
        return Distrust("HIGHESTMODSEQ went back")
    if done.frozen:
        return Distrust("messages came and HIGHESTMODSEQ stayed")
    return None


def _compare(state: FolderState, seen: Seen, rules: PassRules, how: Strategy, now: float) -> CompareUids | None:
    """By what is missing from the count, or because it is time."""
    if seen.exists != state.exists:
        return CompareUids("the number of messages is another one")
    period = rules.sure_every if how is Strategy.QRESYNC else rules.list_every
    if now - state.listed_at >= period or now < state.listed_at or state.listed_at < rules.asked_at <= now:
        return CompareUids("it is time")
    return None


def _look(state: FolderState, rules: PassRules, how: Strategy, now: float, *, looked: bool) -> LookAtFlags | None:
    period = rules.flags_every if how is Strategy.PLAIN else rules.sure_every
    if now - state.flags_at >= period or now < state.flags_at or state.flags_at < rules.asked_at <= now:
        return LookAtFlags(None)
    if how is not Strategy.PLAIN:
        return None
    if now - state.recent_flags_at >= rules.often_every or now < state.recent_flags_at:
        return LookAtFlags(OFTEN)
    return None if looked else LookAtFlags(RECENT)


# What the row becomes once a step is done. Each of these is stored in the unit that did it.


def retreated(state: FolderState, uidnext: int) -> FolderState:
    """`exists` is unknown now: the UIDs are compared next."""
    return replace(state, uidnext=uidnext, backfill_low=min(state.backfill_low, uidnext), exists=-1)


def forwarded(state: FolderState, cursor: int, present: int) -> FolderState:
    """A forward window of which the server listed `present` messages was stored."""
    return replace(state, uidnext=cursor, exists=state.exists + present)


def frozen(state: FolderState, seen: Seen, present: int) -> bool:
    """Whether a window of FORWARD with `present` messages shows that MODSEQs of this server do not rise."""
    return present > 0 and seen.highest_modseq == state.highest_modseq


def changed(state: FolderState, step: AskChanges, *, gone: int = 0) -> FolderState:
    """Changes were applied; `gone`: how many messages that we had VANISHED named.

    Where that does not account for EXISTS the UIDs are compared next: VANISHED may leave some out (Cyrus, iCloud).
    """
    return replace(state, highest_modseq=step.highest_modseq, exists=max(0, state.exists - gone))


def compared(state: FolderState, listed: int, now: float) -> FolderState:
    """`listed` UIDs below `uidnext` are there. EXISTS told something else if somebody was at work in between."""
    return replace(state, exists=listed, listed_at=now)


def looked(state: FolderState, step: LookAtFlags, now: float) -> FolderState:
    if step.newest is None:
        return replace(state, flags_at=now, recent_flags_at=now)
    return replace(state, recent_flags_at=now) if step.newest >= OFTEN else state


def distrusted(state: FolderState) -> FolderState:
    return replace(state, modseq_ok=False)


def backfilled(state: FolderState, cursor: int) -> FolderState:
    return replace(state, backfill_low=max(cursor, state.backfill_floor))


def settled(state: FolderState) -> FolderState:
    """All there is was fetched once."""
    return replace(state, phase=Phase.LIVE)


def only_grew(state: FolderState, status: MailboxStatus) -> bool:
    """Whether STATUS shows that nothing is gone: as many messages more as UIDs were given out since."""
    if status.uidvalidity != state.uidvalidity or status.messages is None or status.uidnext is None or state.exists < 0:
        return False
    return status.messages - state.exists == status.uidnext - state.uidnext


def needs_pass(state: FolderState, status: MailboxStatus) -> bool:
    """Whether STATUS says that something happened in a folder that is not selected; what it leaves out says nothing."""
    if state.phase is not Phase.LIVE or (status.uidnext is None and status.messages is None):
        return True
    return (
        status.uidvalidity not in (None, state.uidvalidity)
        or status.uidnext not in (None, state.uidnext)
        or status.messages not in (None, state.exists)
        or bool(state.modseq_ok and status.highest_modseq and status.highest_modseq != state.highest_modseq)
    )
