"""What changed here since upstream was last told, as operations for upstream: from state, not from hooks. Pure.

Whoever syncs asks the inbox's own MODSEQ log what changed since a mailbox was last pushed, and hands it here. What is
safe to do twice (flags) is done straight away; all other operations are written down before they start (`resume`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.model.mailbox import DRAFTS, SENT, TRASH

from .flags import NO_FLAGS, FlagRules, Flags, merge


@dataclass(frozen=True, slots=True)
class Switches:
    """What goes up. All off: pull."""

    flags: bool = False
    moves: bool = False
    deletes: bool = False
    folders: bool = False
    drafts: bool = False
    sent: bool = False
    appends: bool = False
    """Messages that were put into any other synced mailbox."""

    @property
    def any(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class Remote:
    """One message upstream."""

    folder: int
    uidvalidity: int
    uid: int


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A message here, by mailbox (its row id) and UID; `remote` None: upstream knows nothing of it."""

    mailbox: int
    uid: int
    email_id: str
    remote: Remote | None = None
    base: Flags = NO_FLAGS
    local: Flags = NO_FLAGS
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GonePlace:
    """A message that was here and is not in that mailbox any more, but whose upstream message lives."""

    mailbox: int
    uid: int
    email_id: str
    remote: Remote


class Rank(IntEnum):
    """Order of the operations of one message, and of folders: what a later one needs comes first."""

    CREATE_FOLDER = 0
    RENAME_FOLDER = 1
    FLAGS = 2  # before a move gives the message another UID
    APPEND = 3
    COPY = 4
    MOVE = 5
    DELETE = 6
    DELETE_FOLDER = 7


@dataclass(frozen=True, slots=True)
class PushFlags:
    """STORE; `pushed` is the base once it succeeded, `expected` what must still be agreed on there."""

    at: Remote
    add: Flags
    remove: Flags
    pushed: Flags
    rank: Rank = Rank.FLAGS


@dataclass(frozen=True, slots=True)
class PushMove:
    """`to`: the folder; the message is at `place` here afterwards."""

    at: Remote
    to: int
    place: tuple[int, int]
    rank: Rank = Rank.MOVE


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Moved away here and back before upstream was told: it only has another UID here."""

    at: Remote
    place: tuple[int, int]
    rank: Rank = Rank.FLAGS


@dataclass(frozen=True, slots=True)
class PushCopy:
    at: Remote
    to: int
    place: tuple[int, int]
    rank: Rank = Rank.COPY


@dataclass(frozen=True, slots=True)
class PushAppend:
    to: int
    place: tuple[int, int]
    email_id: str
    flags: Flags
    rank: Rank = Rank.APPEND


@dataclass(frozen=True, slots=True)
class PushDelete:
    """`to`: the folder of \\Trash; None: for good, which needs UIDPLUS."""

    at: Remote
    to: int | None
    rank: Rank = Rank.DELETE


Operation = PushFlags | Rejoin | PushMove | PushCopy | PushAppend | PushDelete


@dataclass(frozen=True, slots=True)
class LocalChanges:
    """What the log showed since the last push, of all mailboxes of the connector at once.

    `changed`: messages with other flags, or new ones; `gone`: those that left. `elsewhere`: live places by EMAILID, for
    a message that was moved or copied here.
    """

    changed: tuple[LocalPlace, ...] = ()
    gone: tuple[GonePlace, ...] = ()
    elsewhere: Mapping[str, tuple[LocalPlace, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """`folder_of`: local mailbox -> remote folder; `roles`: of the remote folders. `permanent_delete`: as asked for."""

    folder_of: Mapping[int, int]
    roles: Mapping[int, str]
    switches: Switches
    flag_rules: FlagRules
    permanent_delete: bool = False
    uidplus: bool = True


def operations(changes: LocalChanges, layout: Layout) -> list[Operation]:
    """What to do upstream, in an order in which each can be done. Doing nothing is the answer to all that came down.

    A message that left one mailbox and turned up in another without a message upstream was moved; one that turned up
    while its twin stayed was copied; one that turned up alone is new.
    """
    found: list[Operation] = []
    leaving: dict[str, list[GonePlace]] = {}
    for gone in changes.gone:
        leaving.setdefault(gone.email_id, []).append(gone)
    moves: list[Operation] = []
    for place in changes.changed:
        if place.remote is not None:
            found += _flags(place, layout)
        else:
            moves += _arrived(place, leaving, changes.elsewhere, layout)
    found += moves
    for left in leaving.values():
        for gone in left:
            found += _deleted(gone, layout)
    found.sort(key=lambda operation: operation.rank)
    return found


def _flags(place: LocalPlace, layout: Layout) -> Iterable[Operation]:
    assert place.remote is not None
    if not layout.switches.flags:
        return
    # Upstream's flags are what was last agreed on: news from there were applied before this is asked.
    merged = merge(place.base, place.local, place.base, layout.flag_rules)
    if merged.goes_up:
        yield PushFlags(place.remote, merged.up_add, merged.up_remove, merged.pushed)


def _arrived(
    place: LocalPlace,
    leaving: dict[str, list[GonePlace]],
    elsewhere: Mapping[str, Collection[LocalPlace]],
    layout: Layout,
) -> Iterable[Operation]:
    folder = layout.folder_of.get(place.mailbox)
    if folder is None:  # a mailbox of ours alone: what leaves for there is deleted upstream, or stays
        return
    sources = leaving.get(place.email_id)
    switches = layout.switches
    role = layout.roles.get(folder)
    if sources:
        source = next((one for one in sources if one.remote.folder == folder), sources[0])
        sources.remove(source)  # it was not deleted, whatever goes up
        if switches.moves or (switches.deletes and role == TRASH):
            if source.remote.folder == folder:
                yield Rejoin(source.remote, (place.mailbox, place.uid))
            else:
                yield PushMove(source.remote, folder, (place.mailbox, place.uid))
        return
    twin = next((other for other in elsewhere.get(place.email_id, ()) if other.remote is not None), None)
    if twin is not None and twin.remote is not None:
        if switches.moves:
            yield PushCopy(twin.remote, folder, (place.mailbox, place.uid))
        return
    wanted = switches.drafts if role == DRAFTS else switches.sent if role == SENT else switches.appends
    if wanted:
        yield PushAppend(folder, (place.mailbox, place.uid), place.email_id, place.local)


def _deleted(gone: GonePlace, layout: Layout) -> Iterable[Operation]:
    if not layout.switches.deletes:
        return
    trash = next((folder for folder, role in layout.roles.items() if role == TRASH), None)
    in_trash = gone.remote.folder == trash
    if not in_trash and trash is not None and not layout.permanent_delete:
        yield PushDelete(gone.remote, trash)
    elif layout.uidplus and (layout.permanent_delete or in_trash):  # never for want of a \\Trash
        yield PushDelete(gone.remote, None)


@dataclass(frozen=True, slots=True)
class FolderChange:
    """A mailbox that is new, called otherwise, or gone here. Names are upstream's; `rank` is its order."""

    rank: Rank
    name: str
    new_name: str | None = None


def folder_changes(
    known: Mapping[int, str], present: Mapping[int, str | None], synced: Collection[int]
) -> list[FolderChange]:
    """From mailbox -> remote name, as last pushed, to what it would be now (None: upstream cannot have it).

    Only `synced` mailboxes that are new are made. A mailbox that is gone takes its folder with it last, when what
    was in it is elsewhere; parents before children, and the other way round for deletions.
    """
    found = []
    for mailbox, name in present.items():
        before = known.get(mailbox)
        if before is None:
            if name is not None and mailbox in synced:
                found.append(FolderChange(Rank.CREATE_FOLDER, name))
        elif name is not None and name != before:
            found.append(FolderChange(Rank.RENAME_FOLDER, before, name))
    found.sort(key=lambda change: (change.rank, len(change.name), change.name))
    gone = [FolderChange(Rank.DELETE_FOLDER, name) for mailbox, name in known.items() if mailbox not in present]
    gone.sort(key=lambda change: (-len(change.name), change.name))
    return found + gone
