"""What never changes of a message and what a list shows of it: fields, attachments, the first words.

It is made from what is kept beside the octets, and of these only the beginning of the text is read. Digests are made in
a reader process, and the latest are kept here, since those who look at an inbox look at the same messages again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.mime import PartNode, decode_body, decode_parts, find_section, is_identity, preview_of
from gateway.mime.decoding import decoder_for
from gateway.model.errors import NotFound
from gateway.model.ids import ContentId
from gateway.store import content, digest_rows
from gateway.store.db import Database, Rx
from gateway.store.digest_rows import DigestRow

from .bodies import Chosen, chosen
from .rendered import Heads, Leaf, NotRendered, Person, heads_of, leaves_of

SUBJECT: Final = 2000
"""Characters of a subject that a list tells; the fields of the message itself tell all."""
PEOPLE: Final = 100
"""Addresses of one field."""
ATTACHMENTS: Final = 200
IDS: Final = 100
LONGEST_ID: Final = 998
"""Characters of a message id: those of a line (RFC 5322 2.1.1)."""
EXACT: Final = 64 * 1024
"""Octets of an encoded part up to which it is decoded to know its size."""
KEPT: Final = 8192
"""Weight of the digests in memory: 1 for one of usual mail, 1 to 2 KB."""
PAGE: Final = 50
"""Digests of one job of a reader process: up to 50 ms for large HTML."""
_NO_HEADS: Final = Heads(None, "", (), (), (), (), (), ())


@dataclass(frozen=True, slots=True)
class Attachment:
    """`part`: its number, as in IMAP. `size`: octets after decoding; of a large part reckoned from the encoded ones,
    exact where these are laid out as RFC 2045 6.8 says."""

    part: str
    file_name: str | None
    media_type: str
    size: int
    content_id: str | None
    inline: bool


@dataclass(frozen=True, slots=True)
class Digest:
    """`sent_at`: Unix seconds, None without a valid Date. Message ids bear no brackets. `size`: of all octets."""

    subject: str
    sent_at: int | None
    from_: tuple[Person, ...]
    sender: tuple[Person, ...]
    reply_to: tuple[Person, ...]
    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    bcc: tuple[Person, ...]
    message_id: str | None
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    attachments: tuple[Attachment, ...]
    preview: str
    size: int

    @property
    def weight(self) -> int:
        """How much memory it takes, and how long to tell it, in units of a usual one."""
        people = sum(map(len, (self.from_, self.sender, self.reply_to, self.to, self.cc, self.bcc)))
        return 1 + (people + len(self.attachments) + len(self.in_reply_to) + len(self.references)) // 16


Known = tuple[ContentId, bytes]
"""A content and the beginning of its digest, by which it is that one and no other (`store.same_message`)."""


@dataclass(slots=True)
class Digests:
    """The latest digests of a process."""

    most: int = KEPT
    _kept: OrderedDict[Known, Digest] = field(default_factory=OrderedDict)
    _weight: int = 0

    @property
    def kept(self) -> Iterable[Digest]:
        return self._kept.values()

    async def of(self, db: Database, wanted: Iterable[Known]) -> dict[ContentId, Digest]:
        """Those of contents that are there: one that was collected meanwhile is missing."""
        found: dict[ContentId, Digest] = {}
        missing: dict[ContentId, Known] = {}
        for known in wanted:
            digest = self._kept.get(known)
            if digest is None:
                missing[known[0]] = known
            else:
                self._kept.move_to_end(known)
                found[known[0]] = digest
        ids = list(missing)
        for start in range(0, len(ids), PAGE):
            for content_id, digest in await db.offload(digests, ids[start : start + PAGE]):
                found[content_id] = digest
                self._keep(missing[content_id], digest)
        return found

    def _keep(self, known: Known, digest: Digest) -> None:
        if known in self._kept:
            return  # by somebody else meanwhile
        self._kept[known] = digest
        self._weight += digest.weight
        while self._weight > self.most:
            self._weight -= self._kept.popitem(last=False)[1].weight


def digests(rx: Rx, content_ids: Sequence[ContentId]) -> list[tuple[ContentId, Digest]]:
    """Those that are there, in no order."""
    return [(row.content_id, _digest(rx, row)) for row in digest_rows.rows(rx, content_ids)]


def _digest(rx: Rx, row: DigestRow) -> Digest:
    heads, leaves, root = _NO_HEADS, Chosen(()), None
    try:
        heads = heads_of(row.envelope)
        leaves = chosen(leaves_of(row.bodystructure))
        root = decode_parts(row.parts)
    except (NotRendered, ValueError):
        pass  # renderings of hostile length: what could be read is told
    read = partial(content.read_body, rx, row.content_id)
    return Digest(
        subject=heads.subject[:SUBJECT], sent_at=row.sent_date, from_=heads.from_[:PEOPLE],
        sender=heads.sender[:PEOPLE], reply_to=heads.reply_to[:PEOPLE], to=heads.to[:PEOPLE], cc=heads.cc[:PEOPLE],
        bcc=heads.bcc[:PEOPLE], message_id=None if row.message_id is None else _id(row.message_id),
        in_reply_to=tuple(map(_id, row.in_reply_to[-IDS:])), references=tuple(map(_id, row.references[-IDS:])),
        attachments=tuple(_attachment(leaf, root, read) for leaf in leaves.attachments[:ATTACHMENTS]),
        preview="" if root is None else preview_of(root, read), size=row.size,
    )  # fmt: skip


def _id(octets: bytes) -> str:
    return bytes(octets).decode("utf-8", "replace")[:LONGEST_ID]


def _attachment(leaf: Leaf, root: PartNode | None, read: Callable[[int, int], bytes]) -> Attachment:
    node = None if root is None else find_section(root, path_of(leaf.number))
    return Attachment(
        part=leaf.number, file_name=leaf.file_name, media_type=f"{leaf.type}/{leaf.subtype}",
        size=leaf.size if node is None else _decoded_size(node, leaf.encoding, read), content_id=leaf.content_id,
        inline=leaf.disposition == "inline" or (leaf.disposition is None and leaf.content_id is not None),
    )  # fmt: skip


def _decoded_size(node: PartNode, encoding: bytes, read: Callable[[int, int], bytes]) -> int:
    if is_identity(encoding) or decoder_for(encoding) is None:
        return node.size
    if node.size <= EXACT:
        return len(decode_body(read(node.header_end, node.body_end), encoding))
    if encoding.lower() != b"base64":
        return node.size
    line = read(node.header_end, node.header_end + 1000).find(b"\n") + 1
    tail = read(node.body_end - 8, node.body_end)
    ends = len(tail) - len(tail.rstrip(b"\r\n"))
    text = node.size - ends
    width = 2 if line < 2 or read(node.header_end + line - 2, node.header_end + line - 1) == b"\r" else 1
    signs = text - width * ((text - 1) // line) if line else text
    return signs // 4 * 3 - tail.rstrip(b"\r\n").count(b"=")


def path_of(number: str) -> tuple[int, ...]:
    """`1.2` -> (1, 2). NotFound: no part's number."""
    steps = number.split(".")
    if len(steps) > 100 or not all(step.isascii() and step.isdigit() and len(step) < 6 for step in steps):
        raise NotFound("No such part")
    return tuple(map(int, steps))
