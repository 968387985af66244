"""FETCH items compiled once a command, then applied to each message by a reader process.

A message becomes one `bytes` in the common case, or pieces of which the large ones are left as `BodyRange`s, which
the session streams with backpressure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Any, Final

from gateway.store.db import Rx
from gateway.store.messages import Columns
from gateway.wire import date
from gateway.wire.fetch import ITEMS, Attribute, BinarySection, BodySection, Item, ItemName, SectionText

from . import sections
from .fetch_message import Message, Pieces, Row, UnknownEncoding, literal
from .telling import PLAIN, Form


@dataclass(frozen=True, slots=True)
class Entry:
    """One message to render, as memory knows it: `flags` rendered, `changed` when this FETCH has set \\Seen.

    `number` is the UID where only UIDs are used (RFC 9586).
    """

    number: int
    uid: int
    flags: bytes
    changed: bool = False
    modseq: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages to render in one go, with their sequence numbers.

    `flags` are rendered, one a message, where the plan shows them, and `modseqs` likewise; `changed` are the UIDs on
    which this FETCH has set \\Seen.
    """

    numbers: Sequence[int]
    uids: Sequence[int]
    flags: Sequence[bytes]
    changed: frozenset[int] = frozenset()
    modseqs: Sequence[int] = ()

    def entry(self, at: int) -> Entry:
        uid = self.uids[at]
        flags = self.flags[at] if self.flags else b""
        return Entry(self.numbers[at], uid, flags, uid in self.changed, self.modseqs[at] if self.modseqs else 0)

    def behind(self, count: int) -> Batch:
        """What is left after `count` of them."""
        left = self.numbers[count:], self.uids[count:], self.flags[count:], self.changed, self.modseqs[count:]
        return Batch(*left)


@dataclass(frozen=True, slots=True)
class Rendering:
    """One response. `work`: octets of bodies that were looked at for it. `unknown`: a part could not be decoded.

    `pieces` is empty when nothing is left to say.
    """

    pieces: Pieces
    work: int
    unknown: bool


_COLUMN: Final = {
    ItemName.INTERNALDATE: Columns.INTERNAL_DATE,
    ItemName.RFC822_SIZE: Columns.SIZE,
    ItemName.ENVELOPE: Columns.ENVELOPE,
    ItemName.BODY: Columns.BODY,
    ItemName.BODYSTRUCTURE: Columns.BODYSTRUCTURE,
    ItemName.EMAILID: Columns.EMAIL_ID,
    ItemName.THREADID: Columns.THREAD_ID,
    ItemName.SAVEDATE: Columns.SAVE_DATE,
}
_RENDERED: Final[dict[ItemName, tuple[bytes, Callable[[Any], bytes | int]]]] = {
    ItemName.INTERNALDATE: (b"INTERNALDATE %b", date.date_time),
    ItemName.SAVEDATE: (b"SAVEDATE %b", date.date_time),
    ItemName.EMAILID: (b"EMAILID (%b)", str.encode),
    ItemName.THREADID: (b"THREADID (%b)", str.encode),
}
"""Items whose value is not stored as it is sent."""
_SECTION: Final = {
    ItemName.RFC822: BodySection(b"RFC822", (), SectionText.ALL),
    ItemName.RFC822_HEADER: BodySection(b"RFC822.HEADER", (), SectionText.HEADER, peek=True),
    ItemName.RFC822_TEXT: BodySection(b"RFC822.TEXT", (), SectionText.TEXT),
}
_NO_COLUMNS: Final = Columns(0)
_PREVIEW: Final = ITEMS[b"PREVIEW"]
_IN_MEMORY: Final = (ITEMS[b"UID"], ITEMS[b"FLAGS"], ITEMS[b"MODSEQ"])
_SHORT: Final = 12  # items; ENVELOPE, flags and the parts of a usual message are fewer
_MAX_DIRECT: Final = 4  # sections whose octets a page holds for each message; with more, a page counts its octets


class Plan:
    """What a FETCH asks for, compiled. Immutable, shared by sessions and threads, sent to reader processes.

    `memory_only`: UID, FLAGS and MODSEQ, which need no store at all. `direct`: all values come with the message's row,
    so that a response is one `%` over it; with `bodies`, the octets of small messages too. `short`: few items.
    `decodes`: transfer encodings are undone, which takes as long as parts are large. `form`: what the session has
    switched on.
    """

    __slots__ = (
        "_asked", "_computed", "_format", "_head", "_items", "_pick", "_seen_items", "bodies", "columns", "decodes",
        "direct", "form", "index", "memory_only", "sets_seen", "short", "shows_flags", "shows_modseq",
    )  # fmt: skip

    def __init__(self, items: Sequence[Attribute], *, uid: bool, form: Form = PLAIN) -> None:
        self._asked = tuple(items), uid, form
        self.form = form
        self._head = b"* %d UIDFETCH (" if form.uid_only else b"* %d FETCH ("
        # UID first: clients were seen to mix up messages when it came after a body (features.md).
        unique = list(dict.fromkeys(items))
        if (uid and not form.uid_only) or ITEMS[b"UID"] in unique:
            unique = [ITEMS[b"UID"], *(item for item in unique if item != ITEMS[b"UID"])]
        self.sets_seen = any(item.sets_seen for item in unique)
        self.shows_flags = ITEMS[b"FLAGS"] in unique
        self.shows_modseq = ITEMS[b"MODSEQ"] in unique
        self._seen_items = tuple(item for item in _told_of_change(form) if item not in unique)
        self.short = len(unique) <= _SHORT
        self._items: tuple[Attribute, ...] = tuple(
            _SECTION.get(item.name, item) if isinstance(item, Item) else item for item in unique
        )
        self.memory_only = all(item in _IN_MEMORY for item in unique)
        parts = [item for item in self._items if isinstance(item, BodySection)]
        self.decodes = any(isinstance(item, BinarySection) or item is _PREVIEW for item in self._items)
        self.direct = len(parts) <= _MAX_DIRECT and not any(part.path or part.partial for part in parts)
        self.direct &= not self.decodes
        self.bodies = self.direct and not all(sections.header_only(part) for part in parts)
        self.columns = _columns(self._items) | (Columns.SMALL_BODY if self.bodies else _NO_COLUMNS)
        self.index = {column: at for at, column in enumerate((c for c in Columns if c & self.columns), 1)}
        self._computed: tuple[Callable[[Row], bytes], ...] = ()
        self._format, self._pick = self._template() if self.direct else (b"", tuple)

    def __reduce__(self) -> tuple[Callable[..., Plan], tuple[tuple[Attribute, ...], bool, Form]]:
        """A reader process compiles what was asked by itself, once."""
        return plan_of, self._asked

    def _template(self) -> tuple[bytes, Callable[[Row], Row]]:
        """One `%` a message over (number, flags, MODSEQ, *row, *computed values); the row begins with the UID."""
        words, places = [], [0]
        computed: list[Callable[[Row], bytes]] = []
        behind_row = 4 + len(self.index)
        for item in self._items:
            if isinstance(item, BinarySection):
                raise AssertionError("decoded parts do not come with a row")
            if isinstance(item, BodySection):
                words.append(item.echo + b" %b")
                places.append(behind_row + len(computed))
                computed.append(self._section_of_row(item))
            elif item.name is ItemName.UID:
                words.append(b"UID %d")
                places.append(3)
            elif item.name is ItemName.FLAGS:
                words.append(b"FLAGS (%b)")
                places.append(1)
            elif item.name is ItemName.MODSEQ:
                words.append(b"MODSEQ (%d)")
                places.append(2)
            elif item.name in _RENDERED:
                form, render = _RENDERED[item.name]
                words.append(form)
                places.append(behind_row + len(computed))
                computed.append(_rendered(render, self.index[_COLUMN[item.name]]))
            else:
                words.append(item.echo + (b" %d" if item.name is ItemName.RFC822_SIZE else b" %b"))
                places.append(3 + self.index[_COLUMN[item.name]])
        self._computed = tuple(computed)
        return self._head + b" ".join(words) + b")\r\n", itemgetter(*places)

    def _section_of_row(self, section: BodySection) -> Callable[[Row], bytes]:
        header = self.index[Columns.HEADER]
        if sections.header_only(section):
            select = sections.header_selector(section)
            return lambda row: literal(select(row[header]))
        body = self.index[Columns.SMALL_BODY]
        if section.text is SectionText.TEXT:
            return lambda row: literal(row[body])
        return lambda row: literal(row[header] + row[body])

    def memory_lines(
        self, messages: Iterable[tuple[int, int, int, int]], text: Callable[[int], bytes]
    ) -> list[bytes]:
        """Responses of a `memory_only` plan for (number, uid, mask, MODSEQ)s."""
        line, pick = self._format, self._pick
        return [line % pick((number, text(mask), modseq, uid)) for number, uid, mask, modseq in messages]

    def lines(self, batch: Batch, rows: Iterable[Row]) -> list[bytes]:
        """Responses of a `direct` plan without bodies, one a message of `batch`."""
        line, pick, computed = self._format, self._pick, self._computed
        told = zip(batch.numbers, batch.flags or repeat(b""), batch.modseqs or repeat(0), rows, strict=False)
        if computed:
            return [line % pick((n, flags, m, *row, *[of(row) for of in computed])) for n, flags, m, row in told]
        return [line % pick((n, flags, m, *row)) for n, flags, m, row in told]

    def line(self, entry: Entry, row: Row) -> bytes | None:
        """The response of a `direct` plan with bodies; None when it needs `render`."""
        if row[self.index[Columns.SMALL_BODY]] is None or (entry.changed and self._seen_items):
            return None
        computed = [of(row) for of in self._computed]
        return self._format % self._pick((entry.number, entry.flags, entry.modseq, *row, *computed))

    def lacks_value(self, row: Row) -> bool:
        """A value of the row was too large to come with its page; a body that did not is read in any case."""
        return None in row and any(
            row[at] is None for column, at in self.index.items() if column is not Columns.SMALL_BODY
        )

    def render(self, rx: Rx, entry: Entry, row: Row, inline: int) -> Rendering:
        """One FETCH response. What exceeds `inline` octets of body, in one section or in all, stays ranges."""
        message = Message(rx, self.index, row, inline)
        done: Pieces = []
        unasked = [self._word(item, entry, message) for item in self._seen_items] if entry.changed else []
        # As UID goes first where it was asked for; the rest behind the octets that the client waits for.
        words = [unasked.pop(0)] if unasked and unasked[0].startswith(b"UID") else []
        unknown = False
        for item in self._items:
            if isinstance(item, Item):
                words.append(self._word(item, entry, message))
                continue
            try:
                word, left = message.section(item) if isinstance(item, BodySection) else message.binary(item)
            except UnknownEncoding:
                unknown = True  # RFC 3516 4.3: the command fails; what else was asked for is told
                continue
            words.append(item.echo + word)
            if left is not None:
                done.append(self._join(entry, words, first=not done))
                done.append(left)
                words = []
        words += unasked
        if words:
            done.append(self._join(entry, words, first=not done))
        if done:
            done.append(b")\r\n")
        return Rendering(done, message.work, unknown)

    def _word(self, item: Item, entry: Entry, message: Message) -> bytes:
        if item.name is ItemName.UID:
            return b"UID %d" % entry.uid
        if item.name is ItemName.FLAGS:
            return b"FLAGS (%b)" % entry.flags
        if item.name is ItemName.MODSEQ:
            return b"MODSEQ (%d)" % entry.modseq
        if item.name is ItemName.PREVIEW:
            return b"PREVIEW " + message.preview()
        value = message.row[self.index[_COLUMN[item.name]]]
        if item.name in _RENDERED:
            form, render = _RENDERED[item.name]
            return form % render(value)
        if item.name is ItemName.RFC822_SIZE:
            return b"RFC822.SIZE %d" % value
        return b"%b %b" % (item.echo, value)

    def _join(self, entry: Entry, words: list[bytes], *, first: bool) -> bytes:
        return (self._head % entry.number if first else b" ") + b" ".join(words)


@lru_cache(maxsize=256)
def plan_of(items: tuple[Attribute, ...], uid: bool, form: Form = PLAIN) -> Plan:
    """The plan of a FETCH or UID FETCH: clients send the same few item lists again and again."""
    return Plan(items, uid=uid, form=form)


def _told_of_change(form: Form) -> Iterable[Item]:
    """What the response shows of a message that the FETCH has marked as seen, asked for or not (RFC 7162 3.2.4)."""
    if not form.modseqs:
        return (ITEMS[b"FLAGS"],)
    told = (ITEMS[b"FLAGS"], ITEMS[b"MODSEQ"])
    return told if form.uid_only else (ITEMS[b"UID"], *told)


def _columns(items: Iterable[Attribute]) -> Columns:
    found = _NO_COLUMNS
    for item in items:
        if isinstance(item, BinarySection) or item is _PREVIEW:
            found |= Columns.HEADER | Columns.SIZE | Columns.CONTENT_ID | Columns.HAS_NUL | Columns.PARTS
            continue
        if isinstance(item, Item):
            found |= _COLUMN.get(item.name, _NO_COLUMNS)
            continue
        found |= Columns.HEADER
        if not sections.header_only(item):
            found |= Columns.SIZE | Columns.CONTENT_ID | Columns.HAS_NUL
        if item.path:
            found |= Columns.PARTS
    return found


def _rendered(render: Callable[[Any], Any], at: int) -> Callable[[Row], Any]:
    return lambda row: render(row[at])
