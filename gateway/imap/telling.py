"""Untagged responses about messages, in the form that what ENABLE switched on asks for.

EXPUNGE or VANISHED (RFC 7162 3.2.10), FETCH with or without MODSEQ (3.1), UIDFETCH instead of FETCH (RFC 9586). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model import sequence

from .view import ranges_of

_RANGES_A_LINE: Final = 500  # about 8,000 octets, which is what RFC 7162 4 expects of lines with UID sets


@dataclass(frozen=True, slots=True)
class Form:
    """How one session is told. `modseqs`: CONDSTORE is on; `vanished`: EXPUNGE is said so; `uid_only`: no numbers."""

    modseqs: bool = False
    vanished: bool = False
    uid_only: bool = False

    def expunged(self, numbers: Sequence[int], uids: Sequence[int]) -> bytes:
        """The messages of `uids` (rising) are gone, which had `numbers`, each counted after the ones before it."""
        if self.vanished:
            return vanished(ranges_of(uids))
        return b"".join([b"* %d EXPUNGE\r\n" % number for number in numbers])

    def changed(self, messages: Iterable[tuple[int, int, int, int]], text: Callable[[int], bytes]) -> bytes:
        """Flags of (number, UID, mask, MODSEQ)s as nobody asked for them."""
        if self.uid_only and self.modseqs:
            lines = [b"* %d UIDFETCH (FLAGS (%b) MODSEQ (%d))\r\n" % (u, text(k), m) for _, u, k, m in messages]
        elif self.uid_only:
            lines = [b"* %d UIDFETCH (FLAGS (%b))\r\n" % (u, text(k)) for _, u, k, _ in messages]
        elif self.modseqs:
            lines = [b"* %d FETCH (UID %d FLAGS (%b) MODSEQ (%d))\r\n" % (n, u, text(k), m) for n, u, k, m in messages]
        else:
            lines = [b"* %d FETCH (UID %d FLAGS (%b))\r\n" % (n, u, text(k)) for n, u, k, _ in messages]
        return b"".join(lines)

    def stored(
        self, messages: Iterable[tuple[int, int, int, int]], text: Callable[[int], bytes], *, by_uid: bool
    ) -> bytes:
        """The same after STORE. By number the UID is shown with a MODSEQ only (RFC 7162 3.2.4)."""
        if self.modseqs or self.uid_only or by_uid:
            return self.changed(messages, text)
        return b"".join([b"* %d FETCH (FLAGS (%b))\r\n" % (n, text(k)) for n, _, k, _ in messages])

    def moved_on(self, messages: Iterable[tuple[int, int, int]]) -> bytes:
        """The MODSEQs of (number, UID, MODSEQ)s whose flags the client can reckon itself (RFC 7162 3.1.3, 3 to 6)."""
        if self.uid_only:
            return b"".join([b"* %d UIDFETCH (MODSEQ (%d))\r\n" % (uid, modseq) for _, uid, modseq in messages])
        return b"".join([b"* %d FETCH (UID %d MODSEQ (%d))\r\n" % message for message in messages])


PLAIN: Final = Form()


def form_of(enabled: Collection[str]) -> Form:
    """The form for what ENABLE has switched on."""
    if not enabled:
        return PLAIN
    uid_only = "UIDONLY" in enabled
    return Form("CONDSTORE" in enabled, uid_only or "QRESYNC" in enabled, uid_only)


def vanished(uids: sequence.Ranges, *, earlier: bool = False) -> bytes:
    """VANISHED lines for `uids`, none for no UIDs; `earlier`: messages that have no place in the client's list."""
    head = b"* VANISHED (EARLIER) " if earlier else b"* VANISHED "
    return b"".join(
        [
            b"%b%b\r\n" % (head, sequence.render(uids[at : at + _RANGES_A_LINE]).encode("ascii"))
            for at in range(0, len(uids), _RANGES_A_LINE)
        ]
    )
