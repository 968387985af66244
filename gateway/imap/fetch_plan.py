"""FETCH items compiled once a command, then applied to each message by a reader thread.

A message becomes one `bytes` in the common case, or pieces of which the large ones are left as `BodyRange`s, which
the session streams with backpressure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from gateway.mime import PartNode, decode_parts
from gateway.model.ids import ContentId
from gateway.store import content
from gateway.store.db import Rx
from gateway.store.messages import Columns
from gateway.wire import date
from gateway.wire.fetch import ITEMS, Attribute, BodySection, Item, ItemName, SectionText

from . import sections

Row = tuple[Any, ...]
"""(uid, *columns of the plan), as `messages.fetch_rows` gives them."""


@dataclass(frozen=True, slots=True)
class BodyRange:
    """[start, stop) of a body, to be read and sent in pieces."""

    content_id: ContentId
    start: int
    stop: int
    has_nul: bool


Pieces = list[bytes | BodyRange]


@dataclass(frozen=True, slots=True)
class Entry:
    """One message to render, as memory knows it: `flags` rendered, `changed` when this FETCH has set \\Seen."""

    number: int
    uid: int
    flags: bytes
    changed: bool = False


_COLUMN: Final = {
    ItemName.INTERNALDATE: Columns.INTERNAL_DATE,
    ItemName.RFC822_SIZE: Columns.SIZE,
    ItemName.ENVELOPE: Columns.ENVELOPE,
    ItemName.BODY: Columns.BODY,
    ItemName.BODYSTRUCTURE: Columns.BODYSTRUCTURE,
}
_SECTION: Final = {
    ItemName.RFC822: BodySection(b"RFC822", (), SectionText.ALL),
    ItemName.RFC822_HEADER: BodySection(b"RFC822.HEADER", (), SectionText.HEADER, peek=True),
    ItemName.RFC822_TEXT: BodySection(b"RFC822.TEXT", (), SectionText.TEXT),
}
_NO_COLUMNS: Final = Columns(0)


class Plan:
    """What a FETCH asks for, compiled. Immutable, shared by sessions and threads.

    `memory_only`: UID and FLAGS, which need no store at all. `plain`: no octets of messages, only rendered columns.
    """

    __slots__ = ("_format", "_items", "_pick", "columns", "index", "memory_only", "plain", "sets_seen", "shows_flags")

    def __init__(self, items: Sequence[Attribute], *, uid: bool) -> None:
        # UID first: clients were seen to mix up messages when it came after a body (features.md).
        unique = list(dict.fromkeys(items))
        if uid or ITEMS[b"UID"] in unique:
            unique = [ITEMS[b"UID"], *(item for item in unique if item is not ITEMS[b"UID"])]
        self.sets_seen = any(item.sets_seen for item in unique)
        self.shows_flags = ITEMS[b"FLAGS"] in unique
        self._items: tuple[Item | BodySection, ...] = tuple(
            _SECTION.get(item.name, item) if isinstance(item, Item) else item for item in unique
        )
        parts = [item for item in self._items if isinstance(item, BodySection)]
        self.plain = not parts
        self.memory_only = self.plain and all(item in (ITEMS[b"UID"], ITEMS[b"FLAGS"]) for item in unique)
        self.columns = _columns(self._items)
        self.index = {column: at for at, column in enumerate((c for c in Columns if c & self.columns), 1)}
        self._format, self._pick = self._template() if self.plain else (b"", tuple)

    def _template(self) -> tuple[bytes, Callable[[Row], Row]]:
        """One `%` a message: (number, uid, flags, *columns) -> the values in the order of the items."""
        words, places = [], [0]
        for item in self._items:
            assert isinstance(item, Item)
            if item.name is ItemName.UID:
                words.append(b"UID %d")
                places.append(1)
            elif item.name is ItemName.FLAGS:
                words.append(b"FLAGS (%b)")
                places.append(2)
            else:
                words.append(item.echo + (b" %d" if item.name is ItemName.RFC822_SIZE else b" %b"))
                places.append(2 + self.index[_COLUMN[item.name]])
        return b"* %d FETCH (" + b" ".join(words) + b")\r\n", itemgetter(*places)

    def memory_lines(
        self, messages: Iterable[tuple[int, int, int]], text: Callable[[int], bytes]
    ) -> list[bytes]:
        """Responses of a `memory_only` plan for (number, uid, mask)s."""
        line, pick = self._format, self._pick
        return [line % pick((number, uid, text(mask))) for number, uid, mask in messages]

    def plain_lines(self, entries: Iterable[Entry], rows: Iterable[Row]) -> list[bytes]:
        """Responses of a `plain` plan, one an entry."""
        line, pick, moment = self._format, self._pick, date.date_time
        if Columns.INTERNAL_DATE in self.index:  # the first column, when it is there
            return [
                line % pick((entry.number, entry.uid, entry.flags, moment(row[1]), *row[2:]))
                for entry, row in zip(entries, rows, strict=True)
            ]
        return [
            line % pick((entry.number, entry.uid, entry.flags, *row[1:]))
            for entry, row in zip(entries, rows, strict=True)
        ]

    def render(self, rx: Rx, entry: Entry, row: Row, inline: int) -> tuple[Pieces, int]:
        """One FETCH response and the octets of body in it. Sections above `inline` octets of body stay ranges."""
        message = Message(rx, self.index, row)
        done: Pieces = []
        words: list[bytes] = []
        octets = 0
        for item in self._items:
            if isinstance(item, Item):
                words.append(self._word(item, entry, message))
                continue
            extent = message.locate(item)
            if extent is None:
                words.append(item.echo + b" NIL")
                continue
            length = extent.stop - extent.start
            head = b"%b {%d}\r\n%b" % (item.echo, extent.size, _clean(extent.octets))
            if length <= inline:
                words.append(head + _clean(message.read(extent.start, extent.stop)) if length else head)
                octets += extent.size
                continue
            words.append(head)
            done.append(_join(entry, words, first=not done))
            done.append(BodyRange(message.content_id, extent.start, extent.stop, message.has_nul))
            words = []
        if entry.changed and not self.shows_flags:
            words.append(b"FLAGS (%b)" % entry.flags)
        if words:
            done.append(_join(entry, words, first=not done))
        done.append(b")\r\n")
        return done, octets

    def _word(self, item: Item, entry: Entry, message: Message) -> bytes:
        if item.name is ItemName.UID:
            return b"UID %d" % entry.uid
        if item.name is ItemName.FLAGS:
            return b"FLAGS (%b)" % entry.flags
        value = message.row[self.index[_COLUMN[item.name]]]
        if item.name is ItemName.INTERNALDATE:
            return b"INTERNALDATE " + date.date_time(value)
        if item.name is ItemName.RFC822_SIZE:
            return b"RFC822.SIZE %d" % value
        return b"%b %b" % (item.echo, value)


def _columns(items: Iterable[Item | BodySection]) -> Columns:
    found = _NO_COLUMNS
    for item in items:
        if isinstance(item, Item):
            found |= _COLUMN.get(item.name, _NO_COLUMNS)
            continue
        found |= Columns.HEADER
        if not sections.header_only(item):
            found |= Columns.SIZE | Columns.CONTENT_ID | Columns.HAS_NUL
        if item.path:
            found |= Columns.PARTS
    return found


def _join(entry: Entry, words: list[bytes], *, first: bool) -> bytes:
    return (b"* %d FETCH (" % entry.number if first else b" ") + b" ".join(words)


def _clean(octets: bytes) -> bytes:
    # RFC 3501 9 CHAR8: NUL cannot be sent in a literal; 0x80 keeps the length (architecture.md, invariant 4).
    return octets.replace(b"\0", b"\x80") if b"\0" in octets else octets


class Message:
    """One message's row in a reader thread; parts and body are read when a section needs them."""

    __slots__ = ("_index", "_rx", "_tree", "row")

    def __init__(self, rx: Rx, index: dict[Columns, int], row: Row) -> None:
        self._rx = rx
        self._index = index
        self.row = row
        self._tree: PartNode | None = None

    def _value(self, column: Columns) -> Any:
        return self.row[self._index[column]]

    @property
    def content_id(self) -> ContentId:
        return ContentId(self._value(Columns.CONTENT_ID))

    @property
    def has_nul(self) -> bool:
        return bool(self._value(Columns.HAS_NUL))

    def tree(self) -> PartNode:
        if self._tree is None:
            self._tree = decode_parts(self._value(Columns.PARTS))
        return self._tree

    def read(self, start: int, stop: int) -> bytes:
        return content.read_body(self._rx, self.content_id, start, stop)

    def locate(self, section: BodySection) -> sections.Extent | None:
        header: bytes = self._value(Columns.HEADER)
        if sections.header_only(section):
            return sections.Extent(sections.of_header(section, header)).window(section.partial)
        body_size = self._value(Columns.SIZE) - len(header)
        return sections.locate(section, header, body_size, self.tree, self.read)
