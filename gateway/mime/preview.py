"""The first words of a message for a list of messages (RFC 8970): what it says, without what it quotes.

Looks at the beginning of a few text parts only, so that its cost does not grow with the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from .charset import to_text
from .html import html_to_text
from .parts import PartNode, text_parts
from .text import decode_body

MAX_PREVIEW: Final = 200
"""Characters (RFC 8970 3.3 SHOULD; it forbids more than 256)."""

_PARTS: Final = 4  # text parts that are looked at: an empty one may stand before the one that says something
_READ: Final = {b"plain": 16_384, b"html": 131_072}  # encoded octets; HTML begins with its styles
_TRIED: Final = (4096, 16_384, 131_072)  # characters of HTML, until there is a preview's length of text
_ENOUGH: Final = MAX_PREVIEW - 30
_BODY: Final = re.compile(r"<body\b", re.IGNORECASE)
_MARK: Final = re.compile(r"<(/?)(blockquote|style|script|title)\b[^<>]*+>?", re.IGNORECASE)
_LINE_OF_QUOTE: Final = re.compile(r"[ \t]*+[>|]")
_ATTRIBUTION: Final = re.compile(r".*[:\uff1a][ \t]*+\Z")
_SIGNATURE: Final = re.compile(r"--[ \t]?\Z")
# Blanks of all kinds, and what is there to be unseen: soft hyphens, joiners, direction marks, fillers of newsletters.
_UNSEEN: Final = re.compile(
    "[\\s\x00-\x20\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]++"
)


def preview_of(root: PartNode, read: Callable[[int, int], bytes]) -> str:
    """At most MAX_PREVIEW characters on one line; "" where a message says nothing in words, or it is encrypted.

    `read`: [start, stop) of the body.
    """
    if root.type == b"multipart" and root.subtype == b"encrypted":
        return ""
    looked = 0
    for part in text_parts(root):
        if part.subtype not in _READ:
            continue
        stop = min(part.body_end, part.header_end + _READ[part.subtype])
        octets = decode_body(read(part.header_end, stop), part.encoding)
        text = to_text(octets, part.charset)
        found = _words(text) if part.subtype != b"html" else _of_html(text, cut=stop < part.body_end)
        if found:
            return found
        looked += 1
        if looked == _PARTS:
            break
    return ""


def _of_html(source: str, *, cut: bool) -> str:
    """As much of HTML is read as it takes. `cut`: the source goes on behind its end."""
    found = ""
    body = _BODY.search(source)
    if body is not None:
        source = source[body.start() :]
    for most in _TRIED:
        found = _words(_seen(source[:most], cut=cut or most < len(source)))
        if len(found) >= _ENOUGH or most >= len(source):
            break
    return found


def _seen(source: str, *, cut: bool) -> str:
    """The text of HTML without its quotations."""
    pieces: list[str] = []
    depth = at = 0
    hidden = ""  # the element that is open and not shown
    for match in _MARK.finditer(source):
        name = match[2].lower()
        if hidden and (name != hidden or not match[1]):
            continue
        if not depth and not hidden:
            pieces.append(source[at : match.start()])
        if name == "blockquote":
            depth = max(depth + (-1 if match[1] else 1), 0)
        else:
            hidden = "" if match[1] else name
        at = match.end()
    if not depth and not hidden:
        end = source.rfind("<", at) if cut and source.rfind("<") > source.rfind(">") else -1
        pieces.append(source[at : end if end >= 0 else len(source)])
    return html_to_text("\n".join(pieces))


def _words(text: str) -> str:
    kept: list[str] = []
    length = 0
    for line in text.splitlines():
        if _SIGNATURE.match(line):
            break
        if _LINE_OF_QUOTE.match(line):
            while kept and (not kept[-1] or _ATTRIBUTION.match(kept[-1])):
                if kept.pop():  # "On Monday Ann wrote:"
                    break
            continue
        words = _UNSEEN.sub(" ", line).strip()
        kept.append(words)
        length += len(words) + 1
        if length > 4 * MAX_PREVIEW:  # what is quoted behind it cannot make it shorter than a preview
            break
    return _cut(" ".join(filter(None, kept)))


def _cut(text: str) -> str:
    """The end of a word, if one is near the limit."""
    if len(text) <= MAX_PREVIEW:
        return text
    at = text.rfind(" ", _ENOUGH, MAX_PREVIEW + 1)
    return text[: at if at > 0 else MAX_PREVIEW]
