"""HTML to the text a reader sees, for search and previews.

Not `html.parser`: on 3.11 it takes quadratic time on unfinished markup (CVE-2025-6069), and mail is hostile.
This is one pass: each construct is looked for once, and what is never closed is remembered as such.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_MARKUP: Final = re.compile(r"<(?=[!/?a-zA-Z])")
_NAME: Final = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:-]{0,30})")
_TAG: Final = re.compile(r"""<[^>"']*+(?:(?:"[^"]*+"|'[^']*+')[^>"']*+)*+>""")
# Tags that stand inside a word without ending it; every other one separates words.
_INLINE: Final = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "dfn", "em", "font", "i", "ins", "kbd",
     "label", "mark", "nobr", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u",
     "var", "wbr"}
)  # fmt: skip
_PIECE: Final = 262_144  # characters a call into C, which no other thread interrupts
_LONGEST_REFERENCE: Final = 40
_ZEROS: Final = re.compile(r"(&#[xX]?)0++(?=[0-9a-fA-F])")
_TOO_LARGE: Final = re.compile(r"&#(?:[0-9]{8,}+|[xX][0-9a-fA-F]{7,}+);?")  # no code point: 1114111, 10FFFF is the last
_HIDDEN: Final = {name: re.compile(f"</{name}(?=[\\s/>])", re.IGNORECASE) for name in ("script", "style")}


def html_to_text(source: str) -> str:
    """Text with tags, comments, scripts and styles removed, and character references replaced. Linear time."""
    pieces: list[str] = []
    at = 0
    end = len(source)
    quotes = True  # attribute values may hold `>`; given up at the first tag whose quotes never close
    comments = True
    open_hidden: set[str] = set()  # elements found open to the end once: looked for no more
    while at < end:
        match = _MARKUP.search(source, at)
        if match is None:
            break
        begin = match.start()
        pieces.append(source[at:begin])
        if comments and source.startswith("<!--", begin):
            stop = source.find("-->", begin + 4)
            if stop >= 0:
                at = stop + 3
                continue
            comments = False
        tag = _TAG.match(source, begin) if quotes else None
        if tag is not None:
            at = tag.end()
        else:
            quotes = False
            stop = source.find(">", begin)
            if stop < 0:  # no markup can end any more
                at = begin
                break
            at = stop + 1
        named = _NAME.match(source, begin)
        name = named.group(1).lower() if named else ""
        if name not in _INLINE:
            pieces.append("\n")
        if name in _HIDDEN and source[begin + 1] != "/" and name not in open_hidden:
            close = _HIDDEN[name].search(source, at)
            if close is None:
                open_hidden.add(name)
            else:
                at = close.start()
    pieces.append(source[at:])
    return _unescape("".join(pieces))


def _unescape(text: str) -> str:
    """`html.unescape` for hostile text: it raises for numbers of thousands of digits, and takes 0.3 s for 10 MB of `&`
    without letting another thread run.
    """
    if "&" not in text:
        return text
    if "&#" in text:
        text = _TOO_LARGE.sub("\ufffd", _ZEROS.sub(r"\1", text))
    pieces: list[str] = []
    at = 0
    while len(text) - at > _PIECE:
        # No reference holds a second `&`; the first one of a piece has ended long before the piece does.
        end = text.rfind("&", at + _LONGEST_REFERENCE, at + _PIECE)
        if end < 0:
            end = at + _PIECE
        pieces.append(unescape(text[at:end]))
        at = end
    pieces.append(unescape(text[at:]))
    return "".join(pieces)
