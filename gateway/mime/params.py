"""Parameters of Content-Type and Content-Disposition: tolerant, with the continuations of RFC 2231 joined.

What a strict reader would lose is kept where the meaning is plain: blanks and `=` in an unquoted value
(`boundary=----=_x`), a quoted string that is never closed, a missing `;`.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.model.body import Parameters

_NAME: Final = re.compile(rb'[ \t\r\n;,]*+([^ \t\r\n;,="()]*+)[ \t\r\n]*+(=?)[ \t\r\n]*+')
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)"[ \t\r\n]*+', re.DOTALL)
_QUOTED_PAIR: Final = re.compile(rb"\\(.)", re.DOTALL)
_TAIL_COMMENT: Final = re.compile(rb"(?<![ \t])[ \t]++\([^()]*+\)[ \t]*+\Z")
_SECTION: Final = re.compile(rb"([^*]++)\*([0-9]{1,4})(\*?)\Z")
# RFC 2231 7: attribute-char excludes blanks, controls, 8-bit, "*", "'", "%" and tspecials.
_NOT_ATTRIBUTE_CHAR: Final = re.compile(rb"[^!#$&+\-.0-9A-Z^_`a-z{|}~]")


def unquote(text: bytes) -> bytes:
    """Content of a quoted string with its quoted pairs undone (RFC 5322 3.2.4)."""
    return _QUOTED_PAIR.sub(rb"\1", text) if b"\\" in text else text


def parse_parameters(text: bytes) -> Parameters:
    """`text` follows the media type or disposition. Order and duplicates are kept, names stay as written."""
    found: list[tuple[bytes, bytes]] = []
    sections = False
    unclosed: set[bytes] = set()  # signs found open to the end once: looked for no more, or time were quadratic
    at = 0
    end = len(text)
    while at < end:
        match = _NAME.match(text, at)
        if match is None:  # never: each part of the pattern may be empty
            break
        name, equals = match.groups()
        at = match.end()
        if not equals or not name:
            at = _skip(text, at, unclosed)
            continue
        if text[at : at + 1] == b'"':
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                found.append((name, unquote(text[at + 1 :])))
                break
            value = unquote(quoted.group(1))
            at = quoted.end()
        else:
            stop = text.find(b";", at)
            if stop < 0:
                stop = end
            value = text[at:stop].strip(b" \t\r\n")
            if value.endswith(b")"):
                value = _without_tail_comment(value)
            at = stop + 1
        sections = sections or b"*" in name
        found.append((name, value))
    return tuple(_join_sections(found) if sections else found)


def parameter(parameters: Parameters, name: bytes) -> bytes | None:
    """The first value of `name` (lower case), compared without case."""
    for key, value in parameters:
        if key.lower() == name:
            return value
    return None


def _skip(text: bytes, at: int, unclosed: set[bytes]) -> int:
    """Past something that is no parameter: a comment, a stray quoted string, or all up to the next `;`."""
    here = text[at : at + 1]
    if here == b'"' and here not in unclosed:
        quoted = _QUOTED.match(text, at)
        if quoted is not None:
            return quoted.end()
        unclosed.add(here)
    if here == b"(" and here not in unclosed:
        depth = 0
        for match in _PAREN.finditer(text, at):
            depth += {b"(": 1, b")": -1}.get(match.group(), 0)
            if depth == 0:
                return match.end()
        unclosed.add(here)
    stop = text.find(b";", at)
    return len(text) if stop < 0 else stop + 1


_PAREN: Final = re.compile(rb"\\.|[()]", re.DOTALL)


def _without_tail_comment(value: bytes) -> bytes:
    # `us-ascii (Plain text)` loses its comment, `name=(1)` and `foo (1).pdf` are what somebody called a file.
    match = _TAIL_COMMENT.search(value)
    return value[: match.start()] if match else value


def _join_sections(found: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """RFC 2231 3: `name*0`, `name*1` become `name`; with any encoded section `name*`, escapes kept.

    The joined value stands where its first section stood. Sections behind a gap stay as written.
    """
    groups: dict[bytes, dict[int, tuple[int, bool]]] = {}
    for place, (name, _) in enumerate(found):
        match = _SECTION.match(name)
        if match:
            sections = groups.setdefault(match.group(1).lower(), {})
            sections.setdefault(int(match.group(2)), (place, bool(match.group(3))))
    replaced: dict[int, tuple[bytes, bytes]] = {}
    dropped: set[int] = set()
    for sections in groups.values():
        run: list[tuple[int, bool]] = []
        while len(run) in sections:
            run.append(sections[len(run)])
        if not run:
            continue
        places = [place for place, _ in run]
        name = found[places[0]][0].partition(b"*")[0]
        if any(encoded for _, encoded in run):
            pieces = [found[place][1] if encoded else _escape(found[place][1]) for place, encoded in run]
            if not run[0][1]:
                pieces.insert(0, b"''")  # the charset and language stand in the first section only
            joined = (name + b"*", b"".join(pieces))
        else:
            joined = (name, b"".join(found[place][1] for place in places))
        dropped.update(places)
        replaced[min(places)] = joined
    result = []
    for place, pair in enumerate(found):
        if place in replaced:
            result.append(replaced[place])
        elif place not in dropped:
            result.append(pair)
    return result


def _escape(value: bytes) -> bytes:
    return _NOT_ATTRIBUTE_CHAR.sub(lambda match: b"%%%02X" % match.group()[0], value)
