"""Rules of the consistency check that SQL says badly: trees of names, bits of flags, sets of UIDs, hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from gateway.model.flags import FIRST_KEYWORD_BIT, SYSTEM_MASK
from gateway.model.ids import BodyId, ContentId
from gateway.model.names import canonical, parents

from .content import CHUNK, chunk_id, read_header
from .db import Rx
from .findings import MOST, Finding
from .statements import Stmt

HASH_PAGE: Final = 64
"""Contents hashed in one snapshot: a page may be a few hundred MB, and a reader must not live long."""
HASH_PIECES: Final = 16  # 1 MiB at a time

_NAMES = Stmt(  # a purge takes mailboxes of deleted inboxes one by one, parents first
    "SELECT b.inbox_id, b.name FROM mailbox b JOIN inbox i ON i.id = b.inbox_id WHERE i.deleted_at IS NULL"
    " ORDER BY b.inbox_id"
)
_FLAGS = Stmt("SELECT DISTINCT mailbox_id, flags FROM message_flags WHERE flags > 31")
_BITS = Stmt("SELECT mailbox_id, bit FROM keyword")
_CHANGES = Stmt(
    "SELECT c.inbox_id, c.mailbox_id, c.modseq, c.kind, c.uids, b.uidnext FROM change c"
    " JOIN inbox i ON i.id = c.inbox_id AND i.deleted_at IS NULL LEFT JOIN mailbox b ON b.id = c.mailbox_id"
    " WHERE c.kind = 'expunged' OR (c.uids <> '' AND c.kind NOT IN ('submitted', 'attempted'))"
    " ORDER BY c.inbox_id, c.modseq"
)
_LIVING = Stmt(
    sqlite="SELECT m.uid FROM json_each(:ranges) AS r CROSS JOIN message_flags m WHERE m.mailbox_id = :mailbox"
    " AND m.uid BETWEEN r.value ->> 0 AND r.value ->> 1 ORDER BY m.uid LIMIT 1",
    postgresql="SELECT m.uid FROM unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS r (low, high)"
    " JOIN message_flags m ON m.mailbox_id = :mailbox AND m.uid BETWEEN r.low AND r.high ORDER BY m.uid LIMIT 1",
)
_CONTENTS = Stmt(
    "SELECT id, body_id, size - header_size, sha256 FROM content_meta WHERE id > :after ORDER BY id LIMIT :most"
)
_CHUNKS = Stmt("SELECT octets FROM content_chunk WHERE id BETWEEN :first AND :last ORDER BY id")


def _trees(rx: Rx) -> list[Finding]:
    """Each name is canonical and its parents exist (store.mailboxes)."""
    trees: dict[int, set[str]] = {}
    for inbox_id, name in rx.all(_NAMES):
        trees.setdefault(inbox_id, set()).add(name)
    wrong = [
        f"Mailbox {name!r} of inbox {inbox_id} is not in its canonical form, or a parent of it is missing"
        for inbox_id, names in trees.items()
        for name in sorted(names)
        if canonical(name) != name or any(parent not in names for parent in parents(name))
    ]
    remedy = "Create the missing parent from any mail program; report this defect"
    return [Finding("mailbox.tree", text, remedy) for text in wrong[:MOST]]


def _keywords(rx: Rx) -> list[Finding]:
    """Each keyword bit that a message bears has a name."""
    known: dict[int, int] = {}
    for mailbox_id, bit in rx.all(_BITS):
        known[mailbox_id] = known.get(mailbox_id, 0) | 1 << bit
    wrong = sorted(
        {mailbox_id for mailbox_id, flags in rx.all(_FLAGS) if flags & ~SYSTEM_MASK & ~known.get(mailbox_id, 0)}
    )
    return [
        Finding(
            "message.keywords",
            f"Messages of mailbox {mailbox_id} bear keyword bits from {FIRST_KEYWORD_BIT} on that have no name",
            "The keywords are lost, the mail is whole: set them again; report this defect",
        )
        for mailbox_id in wrong[:MOST]
    ]


def _expunges(rx: Rx) -> list[Finding]:
    """Expunge records are UID sets that were given once and are not living; nothing else records a set of UIDs."""
    found: list[Finding] = []
    for inbox_id, mailbox_id, modseq, kind, uids, uidnext in rx.all(_CHANGES):
        ranges = _ranges(uids)
        wrong = (
            kind != "expunged"
            or uidnext is None
            or not ranges
            or any(not 1 <= low <= high < uidnext for low, high in ranges)
            or _living(rx, mailbox_id, ranges) is not None
        )
        if wrong and len(found) < MOST:
            text = f"Inbox {inbox_id}, mailbox {mailbox_id}: change {kind} of MODSEQ {modseq} names UIDs it cannot"
            found.append(
                Finding("change.uids", text, "Clients that resynchronise may miss an expunge: report this defect")
            )
    return found


STEPS: Final[tuple[Callable[[Rx], list[Finding]], ...]] = (_trees, _keywords, _expunges)


def hash_page(rx: Rx, after: int) -> tuple[list[Finding], int | None]:
    """Hash the next contents above id `after`; what differs, and where to go on (None at the end)."""
    rows = rx.all(_CONTENTS, after=after, most=HASH_PAGE)
    found = [
        Finding(
            "content.hash",
            f"Content {content_id} is not what was stored: its octets have another SHA-256",
            "The disk or memory changed mail: check the hardware, restore the last good backup",
        )
        for content_id, body_id, size, sha256 in rows
        if _sha256(rx, content_id, body_id, size) != bytes(sha256)
    ]
    return found, rows[-1][0] if len(rows) == HASH_PAGE else None


def _sha256(rx: Rx, content_id: ContentId, body_id: BodyId, size: int) -> bytes:
    digest = hashlib.sha256()  # body first: variants share it under other headers (`content.StagedContent`)
    pieces = -(-size // CHUNK)
    for first in range(0, pieces, HASH_PIECES):
        last = min(first + HASH_PIECES, pieces) - 1
        for (octets,) in rx.all(_CHUNKS, first=chunk_id(body_id, first), last=chunk_id(body_id, last)):
            digest.update(octets)
    digest.update(read_header(rx, content_id))
    return digest.digest()


def _living(rx: Rx, mailbox_id: int, ranges: list[tuple[int, int]]) -> int | None:
    if rx.dialect == "sqlite":
        found: int | None = rx.scalar(_LIVING, mailbox=mailbox_id, ranges=ranges)
    else:
        lows, highs = [low for low, _ in ranges], [high for _, high in ranges]
        found = rx.scalar(_LIVING, mailbox=mailbox_id, lows=lows, highs=highs)
    return found


def _ranges(text: str) -> list[tuple[int, int]]:
    """[] also when it is no UID set."""
    found = []
    for part in text.split(","):
        low, colon, high = part.partition(":")
        if not low.isdecimal() or (colon and not high.isdecimal()):
            return []
        found.append((int(low), int(high or low)))
    return found
