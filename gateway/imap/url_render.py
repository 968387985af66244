"""One URL of URLFETCH in a reader process: what it names, and what RFC 5524 lets one ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from gateway.mime import Decoder, Scanner, decoder_for, find_section
from gateway.model.body import Part
from gateway.model.ids import InboxId
from gateway.store import content
from gateway.store.db import Rx
from gateway.store.messages import Columns
from gateway.wire import render
from gateway.wire.fetch import BinarySection, BodySection, SectionText
from gateway.wire.url import MessageUrl

from .fetch_message import Message, Pieces, UnknownEncoding
from .settings import BODY_READ, INLINE_BODY
from .url_access import authorized
from .url_parts import COLUMNS, Found

_INDEX: Final = {column: at for at, column in enumerate((c for c in Columns if c & COLUMNS), 1)}


def render_url(rx: Rx, url: bytes, wanted: frozenset[str], now: int, reader: InboxId) -> Pieces:
    """The URL and what it names, as they stand in the response. Runs in a reader process."""
    name = b" " + render.string(url)
    found = authorized(rx, url, now, reader=reader)
    if found is None:
        return [name + b" NIL"]
    part, asked = found
    message = Message(rx, _INDEX, part.row, INLINE_BODY)
    if not wanted:
        return [name, *_body(message, asked)]
    return [name, *_Extended(rx, part, asked, message).elements(wanted)]


def _body(message: Message, asked: MessageUrl) -> Pieces:
    word, left = message.section(asked.section)
    return [word] if left is None else [word, left]


@dataclass(frozen=True, slots=True)
class _Extended:
    """What RFC 5524 3.2 lets one ask of a URL."""

    rx: Rx
    part: Found
    asked: MessageUrl
    message: Message

    def elements(self, wanted: frozenset[str]) -> Pieces:
        done: Pieces = []
        binary = self._binary() if "BINARY" in wanted else None
        if "BODYPARTSTRUCTURE" in wanted:
            done.append(b" (BODYPARTSTRUCTURE %b)" % self._structure(decoded=bool(binary)))
        if "BINARY" in wanted:
            done += [b" (BINARY", *(binary or [b" NIL"]), b")"]
        if "BODY" in wanted:
            done += [b" (BODY", *_body(self.message, self.asked), b")"]
        return done

    def _binary(self) -> Pieces | None:
        """None where the encoding is unknown. What is no part (a header, a text) has no encoding."""
        section = self.asked.section
        if section.text is not SectionText.ALL:
            return _body(self.message, self.asked)
        try:
            word, left = self.message.binary(BinarySection(b"", section.path, True, section.partial))
        except UnknownEncoding:
            return None
        return [word] if left is None else [word, left]

    def _structure(self, *, decoded: bool) -> bytes:
        """The part as BODYSTRUCTURE shows it; with `decoded` as it is once its encoding is undone."""
        part = self._parsed(self.asked.section)
        if part is None:
            return render.NIL
        if decoded and decoder_for(part.encoding) is not None and part.children == ():
            size, lines = self._decoded_size(part)
            shown = None if part.lines is None else lines
            part = replace(part, encoding=b"binary", body_end=part.header_end + size, lines=shown)
        return render.body(part, True)

    def _parsed(self, section: BodySection) -> Part | None:
        """The stored table of parts has not all that is shown: the message is read once more, in pieces."""
        scanner = Scanner()
        scanner.feed(self.part.header)
        for octets in self._body_octets(0, self.part.size - len(self.part.header)):
            scanner.feed(octets)
        return find_section(scanner.finish().root, section.path)

    def _decoded_size(self, part: Part) -> tuple[int, int]:
        decoder = decoder_for(part.encoding)
        assert decoder is not None
        size = lines = 0
        for octets in chain(map(decoder.feed, self._body_octets(part.header_end, part.body_end)), _last(decoder)):
            size += len(octets)
            lines += octets.count(b"\n")
        return size, lines

    def _body_octets(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, BODY_READ):
            yield content.read_body(self.rx, self.part.content_id, at, min(at + BODY_READ, stop))


def _last(decoder: Decoder) -> Iterator[bytes]:
    yield decoder.finish()
