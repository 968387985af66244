"""Commands about mailboxes: CREATE with a role, LIST with its extensions, LSUB, STATUS."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.model import names
from gateway.model.mailbox import MAX_NAME_OCTETS

from . import parse_metadata
from .commands import Command, Create, List, Lsub, Status
from .tokens import Cursor, Malformed

STATUS_ITEMS: Final = frozenset(
    {"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}  # RFC 3501 6.3.10
    | {"SIZE", "DELETED", "DELETED-STORAGE"}  # RFC 8438 3, RFC 9051 6.3.11, RFC 9208 4.1.4
    | {"APPENDLIMIT", "MAILBOXID", "HIGHESTMODSEQ"}  # RFC 7889 3.1, RFC 8474 4.3, RFC 7162 3.1.7
)

SPECIAL_USE: Final = {
    name.lower(): name
    for name in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash", "\\Important")
}
"""RFC 6154 2 and RFC 8457: folded -> the RFC's spelling."""

MAX_PATTERNS: Final = 100  # each is matched with each mailbox
MAX_PATTERN: Final = 2 * MAX_NAME_OCTETS  # characters: longer than any name with wildcards between

_SELECTION: Final = frozenset({"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"})
_RETURNS: Final = frozenset({"SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "STATUS", "METADATA"})
_RETURN: Final = re.compile(rb"RETURN (?=\()", re.IGNORECASE)
_USE: Final = re.compile(rb"\(USE (?=\()", re.IGNORECASE)


def create(cursor: Cursor, tag: bytes) -> Command:
    """RFC 3501 `create`, with RFC 6154 6 `create-param`."""
    cursor.space()
    given = cursor.mailbox()
    mailbox = names.canonical(given)
    given = given if given != mailbox else ""
    if cursor.at_end:
        return Create(tag, mailbox, given=given)
    cursor.space()
    if cursor.match(_USE) is None:
        raise cursor.expected("(USE (…)), the only parameter there is,")
    roles: list[str] = []
    for flag in cursor.listed(cursor.flag, empty=True):
        role = flag.decode("ascii")
        if not role.startswith("\\"):
            raise Malformed("A special-use attribute starts with a backslash")
        role = SPECIAL_USE.get(role.lower(), role)
        if role not in roles:
            roles.append(role)
    cursor.need(b")")
    return Create(tag, mailbox, tuple(roles), given)


def list_(cursor: Cursor, tag: bytes) -> Command:
    """RFC 3501 `list` and RFC 5258 6 `list`, with the options of RFC 5819, RFC 6154 and RFC 9590."""
    cursor.space()
    selection: frozenset[str] = frozenset()
    extended = False
    if cursor.peek() == b"(":
        extended = True
        selection = frozenset(cursor.listed(lambda: cursor.keyword("a selection option"), empty=True))
        if not selection <= _SELECTION:
            raise Malformed("Unknown selection option")
        # RFC 5258 6: it modifies a base option, and SUBSCRIBED is the only one (RFC 6154's is independent).
        if "RECURSIVEMATCH" in selection and "SUBSCRIBED" not in selection:
            raise Malformed("RECURSIVEMATCH needs SUBSCRIBED")
        cursor.space()
    reference = cursor.mailbox("a reference name")
    cursor.space()
    if cursor.peek() == b"(":
        extended = True
        patterns = tuple(cursor.listed(cursor.list_mailbox))
        if len(patterns) > MAX_PATTERNS:
            raise Malformed(f"More than {MAX_PATTERNS} patterns")
    else:
        patterns = (cursor.list_mailbox(),)
    _check_length(reference, patterns)
    returns: set[str] = set()
    items: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    if not cursor.at_end:
        extended = True
        cursor.space()
        if cursor.match(_RETURN) is None:
            raise cursor.expected("RETURN (…)")

        def option() -> None:
            nonlocal items, metadata
            name = cursor.keyword("a return option")
            if name not in _RETURNS:
                raise Malformed("Unknown return option")
            returns.add(name)
            if name == "STATUS":
                cursor.space()
                items = _status_items(cursor)
            elif name == "METADATA":
                cursor.space()
                metadata = parse_metadata.entries(cursor)

        cursor.listed(option, empty=True)
    return List(tag, reference, patterns, selection, frozenset(returns), items, extended, metadata)


def lsub(cursor: Cursor, tag: bytes) -> Command:
    """RFC 3501 `lsub`."""
    cursor.space()
    reference = cursor.mailbox("a reference name")
    cursor.space()
    pattern = cursor.list_mailbox()
    _check_length(reference, (pattern,))
    return Lsub(tag, reference, pattern)


def _check_length(reference: str, patterns: Iterable[str]) -> None:
    if any(len(reference) + len(pattern) > MAX_PATTERN for pattern in patterns):
        raise Malformed(f"A pattern may have {MAX_PATTERN} characters at most")


def status(cursor: Cursor, tag: bytes) -> Command:
    """RFC 3501 `status` with the items of later RFCs."""
    cursor.space()
    mailbox = names.canonical(cursor.mailbox())
    cursor.space()
    return Status(tag, mailbox, _status_items(cursor))


def _status_items(cursor: Cursor) -> tuple[str, ...]:
    items = tuple(cursor.listed(lambda: cursor.keyword("a STATUS item")))
    if not STATUS_ITEMS.issuperset(items):
        raise Malformed("Unknown STATUS item")
    return items
