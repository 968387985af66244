"""The table of parts that is stored with a content: enough for sections (RFC 3501 6.4.5) and search, and no more.

Format: a JSON array `[version, row, row …]`, rows in preorder,
`[kind, children, type, subtype, encoding, charset, header_start, header_end, body_end]`, octets as Latin-1 text.
JSON, for its decoder is in C (a typical mail takes 10 us) and the store stays readable with common tools.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, TypeVar

from gateway.model.body import Part, PartKind

from .params import parameter

_VERSION: Final = 1
_ENCODE: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode  # `dumps` makes one each time


@dataclass(slots=True, eq=True)
class PartNode:
    """A part as sections and search need it. Offsets as in model/body.py; the root is the message itself.

    `type`, `subtype` and `charset` (None: not given) are lower case; `encoding` as BODYSTRUCTURE shows it.
    """

    kind: PartKind
    type: bytes
    subtype: bytes
    encoding: bytes
    charset: bytes | None
    header_start: int
    header_end: int
    body_end: int
    children: tuple[PartNode, ...] = ()

    @property
    def size(self) -> int:
        """Octets of the content before decoding."""
        return self.body_end - self.header_end


def encode_parts(root: Part) -> bytes:
    """The table of `root` and all parts in it."""
    rows: list[object] = [_VERSION]
    stack = [root]
    while stack:
        part = stack.pop()
        charset = _charset(part)
        rows.append(
            [
                int(part.kind), len(part.children), part.type.decode("latin-1"), part.subtype.decode("latin-1"),
                part.encoding.decode("latin-1"), None if charset is None else charset.decode("latin-1"),
                part.header_start, part.header_end, part.body_end,
            ]
        )  # fmt: skip
        stack.extend(reversed(part.children))
    return _ENCODE(rows).encode("ascii")


def decode_parts(data: bytes) -> PartNode:
    """The tree of a table that `encode_parts` made; ValueError for anything else."""
    try:
        rows = json.loads(data)
        if rows[0] != _VERSION:
            raise ValueError(f"part table of version {rows[0]!r}")
        # Backwards through the preorder, the children of a row are always the last nodes made, latest first.
        done: list[PartNode] = []
        for kind, count, type_, subtype, encoding, charset, start, middle, end in rows[:0:-1]:
            children: tuple[PartNode, ...] = ()
            if count:
                if count > len(done):
                    raise ValueError("part table is cut off")
                children = tuple(done[: -count - 1 : -1])
                del done[-count:]
            done.append(
                PartNode(
                    _KINDS[kind], type_.encode("latin-1"), subtype.encode("latin-1"), encoding.encode("latin-1"),
                    None if charset is None else charset.encode("latin-1"), start, middle, end, children,
                )
            )  # fmt: skip
    except (TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError("not a part table") from error
    if len(done) != 1:
        raise ValueError("part table has no single root")
    return done[0]


def node_of(root: Part) -> PartNode:
    """The same tree without the detour over octets."""
    return decode_parts(encode_parts(root))


Node = TypeVar("Node", PartNode, Part)


def find_section(root: Node, path: tuple[int, ...]) -> Node | None:
    """The part that `path` names in IMAP's numbering, None when there is none; the root for an empty path.

    RFC 3501 6.4.5: a message that is no multipart has one part, 1, its body: for that the message's own node is
    answered, whose MIME header is the message's header. The numbers inside a message/rfc822 part are those of the
    parts of the message in it, whether that is a multipart or not.
    """
    message = root  # a node whose header is a message's header
    inside = True  # the next number counts in `message`, else in `node`
    node = root
    for number in path:
        if not inside:
            if node.kind is PartKind.MULTIPART:
                message, inside = node, True
            elif node.kind is PartKind.MESSAGE:
                message, inside = node.children[0], True
            else:
                return None
        if message.kind is PartKind.MULTIPART:
            if not 1 <= number <= len(message.children):
                return None
            node = message.children[number - 1]
        elif number == 1:
            node = message
        else:
            return None
        inside = False
    return node


def text_parts(root: PartNode) -> list[PartNode]:
    """All text leaves in message order, those in encapsulated messages too."""
    return _leaves(root, _TEXT)


def searched_parts(root: PartNode) -> list[PartNode]:
    """What SEARCH BODY looks at: text, and what else is written in lines for a reader: leaves of type message, which
    are reports (RFC 3464, RFC 8098) and messages whose parts cannot be told apart.
    """
    return _leaves(root, _SEARCHED)


def _leaves(root: PartNode, types: frozenset[bytes]) -> list[PartNode]:
    found = []
    stack = [root]
    while stack:
        node = stack.pop()
        if node.kind is PartKind.LEAF and node.type in types:
            found.append(node)
        stack.extend(reversed(node.children))
    return found


_TEXT: Final = frozenset({b"text"})
_SEARCHED: Final = frozenset({b"text", b"message"})
_KINDS: Final = {int(kind): kind for kind in PartKind}


def _charset(part: Part) -> bytes | None:
    value = parameter(part.parameters, b"charset")
    if value is None:
        value = parameter(part.parameters, b"charset*")  # RFC 2231: us-ascii''utf-8
        if value is not None:
            value = value.rpartition(b"'")[2]
    words = (value or b"").strip(b"'\" \t").lower().split()
    return words[0] if words else None
