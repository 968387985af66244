"""Where the octets of `BODY[section]<window>` lie: some of the stored header, then a range of the stored body.

Header and body are stored apart; `BODY[]` is one after the other. Part offsets count in the body (model/body.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.mime import PartNode, field_selector, find_section
from gateway.model.body import PartKind
from gateway.wire.fetch import BodySection, SectionText

ReadBody = Callable[[int, int], bytes]
"""[start, stop) of the body."""

_FIELDS: Final = frozenset({SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT})


@dataclass(frozen=True, slots=True)
class Extent:
    """`octets`, then [start, stop) of the body."""

    octets: bytes
    start: int = 0
    stop: int = 0

    @property
    def size(self) -> int:
        return len(self.octets) + self.stop - self.start

    def window(self, partial: tuple[int, int] | None) -> Extent:
        """RFC 3501 6.4.5: a window beyond the end is cut; one that begins there is empty."""
        if partial is None:
            return self
        first = min(partial[0], self.size)
        last = min(partial[0] + partial[1], self.size)
        held = len(self.octets)
        return Extent(
            self.octets[first:last], self.start + max(0, first - held), self.start + max(0, last - held)
        )


def header_only(section: BodySection) -> bool:
    """The section needs the stored header and nothing of the body."""
    return not section.path and section.text not in {SectionText.ALL, SectionText.TEXT}


def header_selector(section: BodySection) -> Callable[[bytes], bytes]:
    """What HEADER or HEADER.FIELDS takes of a header, before the window."""
    if section.text in _FIELDS:
        return field_selector(section.fields, section.text is SectionText.HEADER_FIELDS_NOT)
    return bytes


def locate(
    section: BodySection, header: bytes, body_size: int, root: Callable[[], PartNode], read: ReadBody
) -> Extent | None:
    """The section's octets, window applied; None (NIL) when there is no such part."""
    found = _whole(section, header, body_size, root, read)
    return None if found is None else found.window(section.partial)


def _whole(
    section: BodySection, header: bytes, body_size: int, root: Callable[[], PartNode], read: ReadBody
) -> Extent | None:
    text = section.text
    if not section.path:
        if text is SectionText.ALL:
            return Extent(header, 0, body_size)
        if text is SectionText.TEXT:
            return Extent(b"", 0, body_size)
        return Extent(header_selector(section)(header))
    tree = root()
    node = find_section(tree, section.path)
    if node is None:
        return None
    if text is SectionText.ALL:
        return Extent(b"", node.header_end, node.body_end)
    if text is SectionText.MIME:
        # The part 1 of a message that is not multipart has no MIME header but the message's (parsing.md).
        return Extent(header) if node is tree else Extent(b"", node.header_start, node.header_end)
    if node.kind is not PartKind.MESSAGE:
        return None  # RFC 3501 6.4.5: HEADER and TEXT of a part are those of a message in it
    message = node.children[0]
    if text is SectionText.TEXT:
        return Extent(b"", message.header_end, message.body_end)
    if text is SectionText.HEADER:
        return Extent(b"", message.header_start, message.header_end)
    return Extent(header_selector(section)(read(message.header_start, message.header_end)))
