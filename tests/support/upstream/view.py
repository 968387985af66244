"""What one session was told of its mailbox, and what it is to be told next (RFC 9051 7.5.1, RFC 7162 3.2.10)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from tests.support.upstream.grammar import listed
from tests.support.upstream.mail import Mailbox, Place, ranges


@dataclass
class View:
    """`uids` are those that the client knows, in the order of their sequence numbers."""

    mailbox: Mailbox
    read_only: bool
    uids: tuple[int, ...]
    tick: int
    uidvalidity: int
    told: dict[int, int] = field(default_factory=dict)
    """UID -> tick of a change that the client made itself and needs not be told (.SILENT)."""
    owing: bool = False
    hidden: set[int] = field(default_factory=set)
    """UIDs that are not to be shown yet (Courier's own APPENDs)."""

    @classmethod
    def of(cls, mailbox: Mailbox, *, read_only: bool, visible: int) -> View:
        uids = mailbox.uids[-visible:] if visible else mailbox.uids
        return cls(mailbox, read_only, uids, mailbox.tick, mailbox.uidvalidity)

    def number(self, uid: int) -> int:
        """The sequence number; 0 if the client does not know it."""
        at = bisect_left(self.uids, uid)
        return at + 1 if at < len(self.uids) and self.uids[at] == uid else 0

    def by_uid(self, pairs: list[tuple[int, int]]) -> list[int]:
        """UIDs known to the client and in these ranges, in order, each once."""
        found: set[int] = set()
        for low, high in pairs:
            found.update(self.uids[bisect_left(self.uids, low) : bisect_left(self.uids, high + 1)])
        return sorted(found)

    def by_number(self, pairs: list[tuple[int, int]]) -> list[int]:
        """UIDs at these sequence numbers; LookupError for one that is not there."""
        found: set[int] = set()
        for low, high in pairs:
            if not 1 <= low <= high <= len(self.uids):
                raise LookupError(f"{low}:{high}")
            found.update(self.uids[low - 1 : high])
        return sorted(found)

    def place(self, uid: int) -> Place | None:
        """None: it went meanwhile, and the client was not told yet."""
        return self.mailbox.places.get(uid)

    def news(self, *, expunges: bool, vanished: bool, uid: bool, modseq: bool, uidonly: bool) -> list[bytes]:
        """Untagged responses since the last time: what went, how many there are, whose flags changed.

        `expunges` False where EXPUNGE must not come (FETCH, STORE, SEARCH by number): it is owed. `vanished`: QRESYNC's
        form of it. `uid`, `modseq`: what FETCH names besides FLAGS.
        """
        box = self.mailbox
        if self.tick == box.tick and not (self.owing and expunges):
            return []
        lines: list[bytes] = []
        live = box.places
        gone = [at for at in self.uids if at not in live]
        self.owing = bool(gone) and not expunges
        if gone and expunges:
            if vanished:
                lines.append(f"VANISHED {ranges(gone)}".encode())
            else:
                lines += [b"%d EXPUNGE" % self.number(at) for at in reversed(gone)]
            self.uids = tuple(at for at in self.uids if at in live)
        last = self.uids[-1] if self.uids else 0
        new = [at for at in box.uids[bisect_left(box.uids, last + 1) :] if at not in self.hidden]
        new = [at for at in new if live[at].tick > self.tick]
        if new:
            self.uids += tuple(new)
            lines.append(b"%d EXISTS" % len(self.uids))
        for at in self.uids:
            placed = live.get(at)
            if placed and placed.tick > max(self.tick, self.told.get(at, 0)) and at not in new:
                lines.append(self._changed(placed, uid=uid, modseq=modseq, uidonly=uidonly))
        self.tick = box.tick
        self.told.clear()
        return lines

    def _changed(self, placed: Place, *, uid: bool, modseq: bool, uidonly: bool) -> bytes:
        items = [f"FLAGS {listed(sorted(placed.mail.flags))}"]
        if uid and not uidonly:
            items.insert(0, f"UID {placed.uid}")
        if modseq:
            items.append(f"MODSEQ ({placed.modseq})")
        start = f"{placed.uid} UIDFETCH" if uidonly else f"{self.number(placed.uid)} FETCH"
        return f"{start} ({' '.join(items)})".encode()
