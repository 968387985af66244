"""Operations that must not be done twice: what is written down before they start, and what a crash left to do. Pure.

APPEND, COPY and MOVE have no answer that survives a lost connection. Before one starts, its row is committed as
`started` with the evidence below; whoever finds such a row looks first (what would the operation have left?) and does
it again only when it surely was not done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class OpState(StrEnum):
    """Kept in the row. FAILED: given up; the person concerned is told."""

    WAITING = "waiting"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of the folder that an operation puts a message into: as it was before. `key`: an id of the server, if it has ids.

    Without Message-ID and key nothing could be found again: such an operation is not begun (`can_begin`).
    """

    folder: int
    uidvalidity: int
    uidnext: int
    message_id: str | None = None
    key: str | None = None

    def as_json(self) -> dict[str, int | str | None]:
        return {
            "folder": self.folder, "uidvalidity": self.uidvalidity, "uidnext": self.uidnext,
            "message_id": self.message_id, "key": self.key,
        }  # fmt: skip

    @classmethod
    def of_json(cls, value: Mapping[str, object]) -> Evidence:
        """What `as_json` gave; ValueError for anything else."""
        try:
            numbers = [value["folder"], value["uidvalidity"], value["uidnext"]]
            words = [value["message_id"], value["key"]]
        except KeyError as error:
            raise ValueError("evidence lacks a field") from error
        if not all(isinstance(one, int) for one in numbers) or not all(isinstance(one, str | None) for one in words):
            raise ValueError("evidence has a field of another type")
        return cls(*numbers, *words)  # type: ignore[arg-type]


def can_begin(evidence: Evidence) -> bool:
    return bool(evidence.message_id or evidence.key)


class Next(StrEnum):
    """What to do with an operation that was started and whose end nobody knows."""

    ADOPT = "adopt"  # it was done: note where the message is now
    FINISH = "finish"  # the copy is there, the source is too: only the source is still to go
    AGAIN = "again"  # it was not done
    LOOK = "look"  # compare the folder: its UIDs mean nothing any more
    DROP = "drop"  # nothing is left to do it with


@dataclass(frozen=True, slots=True)
class Resumed:
    """`uid`: of the message in the target folder, for ADOPT and FINISH."""

    next: Next
    uid: int | None = None


def resume_append(evidence: Evidence, uidvalidity: int, found: Sequence[int], taken: frozenset[int]) -> Resumed:
    """`found`: UIDs of the folder at or above `evidence.uidnext` that bear the Message-ID (or key); `taken`: those of
    them that are known already as other messages. Of several the first is ours: whoever puts it there again comes
    later.
    """
    if uidvalidity != evidence.uidvalidity:
        return Resumed(Next.LOOK)
    ours = sorted(uid for uid in found if uid >= evidence.uidnext and uid not in taken)
    return Resumed(Next.ADOPT, ours[0]) if ours else Resumed(Next.AGAIN)


def resume_move(
    evidence: Evidence,
    uidvalidity: int,
    found: Sequence[int],
    taken: frozenset[int],
    *,
    source_present: bool,
    copy: bool,
) -> Resumed:
    """MOVE, or COPY and removal of the source; `copy`: the source is to stay."""
    landed = resume_append(evidence, uidvalidity, found, taken)
    if landed.next is Next.LOOK:
        return landed
    if landed.uid is not None:
        return landed if copy or not source_present else Resumed(Next.FINISH, landed.uid)
    return Resumed(Next.AGAIN if source_present else Next.DROP)


def verified(
    pairs: Mapping[int, int], keys: Mapping[int, str | None], wanted: Mapping[int, str | None]
) -> dict[int, int]:
    """COPYUID's pairs as they really are. Yahoo permutes them: where both sides have ids, `keys` (of the new UIDs)
    against `wanted` (of the sources) decides; a source whose message is not among the new ones has no pair.
    """
    by_key: dict[str, list[int]] = {}
    for uid in sorted(pairs.values()):
        key = keys.get(uid)
        if key is not None:
            by_key.setdefault(key, []).append(uid)
    found = {}
    for source, target in pairs.items():
        key = wanted.get(source)
        if key is None or keys.get(target) is None:
            found[source] = target
        elif by_key.get(key):
            found[source] = by_key[key].pop(0)
    return found
