"""What LIST answers (RFC 3501 6.3.8, RFC 5258, RFC 5819, RFC 6154, RFC 9590): values in, octets out, in pieces.

A name is *selected* when it meets the selection options; it is shown when it matches a pattern too. With RECURSIVEMATCH
a name that is not selected is shown as well if it matches and something selected below it does not (RFC 5258 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter, methodcaller
from typing import Any, Final

from gateway.model.mailbox import DELIMITER, INBOX
from gateway.model.names import parents
from gateway.store.listing import Listed
from gateway.wire import render
from gateway.wire.commands import List
from gateway.wire.pattern import Matcher

from .settings import LIST_WORK

CHILDINFO: Final = b' ("CHILDINFO" ("SUBSCRIBED"))'
"""RECURSIVEMATCH modifies SUBSCRIBED, the only base option there is (RFC 5258 6)."""
_LSUB_LINES: Final = 500  # of a piece
_SENT_AT_ONCE: Final = 32 * 1024  # octets of a piece: some 500 lines, two milliseconds of the loop

_FIELDS: Final[Mapping[str, str]] = {
    "MESSAGES": "messages",
    "UIDNEXT": "uidnext",
    "UIDVALIDITY": "uidvalidity",
    "UNSEEN": "unseen",
    "SIZE": "octets",
    "DELETED": "deleted",
    "DELETED-STORAGE": "deleted_octets",
    "HIGHESTMODSEQ": "highest_modseq",
    "MAILBOXID": "object_id",
}
DELETED_ITEMS: Final = frozenset({"DELETED", "DELETED-STORAGE"})


StatusValues = Callable[[Listed], bytes]
"""The parenthesised list of a STATUS response."""
MetadataLine = Callable[[Listed, Mapping[str, bytes]], bytes]
"""A METADATA response, from a mailbox and those of the entries that it has."""


@lru_cache(maxsize=256)
def status_values(items: tuple[str, ...], append_limit: int) -> StatusValues:
    """What renders the list of a STATUS response for `items`: clients ask for the same ones."""
    words: list[str] = []
    places: list[int] = []
    for item in items:
        if item == "RECENT":
            words.append("RECENT 0")  # RFC 9051 knows it no longer, and nobody is promised a message alone
        elif item == "APPENDLIMIT":
            words.append(f"APPENDLIMIT {append_limit}")
        else:
            words.append(f"{item} (%s)" if item == "MAILBOXID" else f"{item} %d")
            places.append(Listed._fields.index(_FIELDS[item]))
    text = "(" + " ".join(words) + ")"
    if not places:
        constant = text.encode("ascii")
        return lambda row: constant
    values: Callable[[Listed], Any] = itemgetter(*places)
    return lambda row: (text % values(row)).encode("ascii")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """An inbox as one snapshot has it. `subscribed`: all subscribed names, when SUBSCRIBED selects by them.

    `annotations`: mailbox id -> the entries asked for that it has, by their names in small letters. `version`: of the
    tree (`store.listing.tree_version`).
    """

    mailboxes: list[Listed]
    subscribed: Collection[str] = frozenset()
    annotations: Mapping[int, Mapping[str, bytes]] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How this session has names, STATUS and METADATA rendered, and whose STATUS it may see."""

    name: Callable[[str], bytes]
    status: StatusValues | None = None
    readable: Callable[[str | None], bool] = lambda role: True
    metadata: MetadataLine | None = None


Place = tuple[str, bool, bool]
"""A name to show: whether it is selected itself, and whether something selected lies below it."""


def responses(command: List, catalogue: Catalogue, rules: Rules) -> Iterator[bytes]:
    """The untagged responses in order, in pieces; after each of them it is others' turn."""
    # RFC 5258 3: in the extended form an empty pattern matches nothing, whatever the reference is.
    matchers = [Matcher(command.reference, pattern) for pattern in command.patterns if pattern or not command.extended]
    by_name = {row.name: row for row in catalogue.mailboxes}
    selected: Iterable[str] = catalogue.subscribed if "SUBSCRIBED" in command.selection else by_name
    if "SPECIAL-USE" in command.selection:
        selected = [name for name in selected if name in by_name and by_name[name].role is not None]
    places = recursive(selected, matchers) if "RECURSIVEMATCH" in command.selection else matching(selected, matchers)
    return _lines(command, catalogue, rules, by_name, places)


def matching(names: Iterable[str], matchers: Sequence[Matcher]) -> Iterator[Place | None]:
    """Those of `names` that match, in order; None: it is others' turn."""
    found: list[str] = []
    if len(matchers) == 1 and matchers[0].simple:  # a comparison a name: no turn gets long
        found.extend(filter(matchers[0].matches, names))
    else:
        work = 0
        for name in names:
            work += len(name) * len(matchers)
            if work > LIST_WORK:
                work = 0
                yield None
            if any(matcher.matches(name) for matcher in matchers):
                found.append(name)
    for name in sorted_names(found):
        yield name, True, False


def recursive(names: Iterable[str], matchers: Sequence[Matcher]) -> Iterator[Place | None]:
    """As `matching`, and what matches above a name that does not (RFC 5258 3.3, 2.B). Memory is that of `names`.

    In the order of `in_order` what lies below a name follows it at once, so that one look at a name's neighbours tells
    what is above and below it: names of a hundred levels have two million ancestors, which are never gathered.
    """
    selected = frozenset(names)
    arranged = sorted_names(selected)
    before = ""  # the last name that matched nothing: its ancestors have had their turn
    work = 0
    for at, name in enumerate(arranged):
        work += len(name) * len(matchers)
        if any(matcher.matches(name) for matcher in matchers):
            yield name, True, at + 1 < len(arranged) and arranged[at + 1].startswith(name + DELIMITER)
        else:
            for parent in parents(name):
                if before.startswith(parent + DELIMITER):
                    continue
                work += len(parent) * len(matchers)
                if parent not in selected and any(matcher.matches(parent) for matcher in matchers):
                    yield parent, False, True
            before = name
        if work > LIST_WORK:
            work = 0
            yield None


def sorted_names(names: Iterable[str]) -> list[str]:
    """INBOX first, and what lies below a name directly behind it."""
    found = sorted(names, key=_LEVELS_FIRST)
    if INBOX in found:
        found.remove(INBOX)
        found.insert(0, INBOX)
    return found


_LEVELS_FIRST: Final = methodcaller("replace", DELIMITER, "\0")  # below all that a name may hold


def _lines(
    command: List,
    catalogue: Catalogue,
    rules: Rules,
    by_name: Mapping[str, Listed],
    places: Iterable[Place | None],
) -> Iterator[bytes]:
    # A parent always has a row of its own.
    with_children = {name.rpartition(DELIMITER)[0] for name in by_name if DELIMITER in name}
    by_subscription = "SUBSCRIBED" in command.selection
    show_subscribed = by_subscription or "SUBSCRIBED" in command.returns
    subscribed = catalogue.subscribed
    status, metadata, encoded = rules.status, rules.metadata, rules.name
    out: list[bytes] = []
    octets = 0
    for place in places:
        if place is None:
            yield b"".join(out)
            out.clear()
            octets = 0
            continue
        name, is_selected, has_selected_below = place
        row = by_name.get(name)
        is_subscribed = False
        if show_subscribed:
            is_subscribed = name in subscribed if by_subscription else row is not None and row.subscribed != 0
        # RFC 5819 2: \Noselect instead of a STATUS that cannot be had.
        no_status = status is not None and row is not None and not rules.readable(row.role)
        wire_name = encoded(name)
        exists, noselect, role = (False, False, None) if row is None else (True, row.noselect or no_status, row.role)
        marks = _attributes(exists, noselect, role, name in with_children, is_subscribed)
        line = b'* LIST (%b) "/" %b%b\r\n' % (marks, wire_name, CHILDINFO if has_selected_below else b"")
        if row is not None and is_selected:
            if status is not None and not row.noselect and not no_status:
                line += b"* STATUS %b %b\r\n" % (wire_name, status(row))
            if metadata is not None and rules.readable(row.role):
                line += metadata(row, catalogue.annotations.get(row.id, {}))
        out.append(line)
        octets += len(line)
        if octets > _SENT_AT_ONCE:
            yield b"".join(out)
            out.clear()
            octets = 0
    yield b"".join(out)


def lsub_lines(places: Iterable[Place | None], encoded: Callable[[str], bytes]) -> Iterator[bytes]:
    """LSUB responses in pieces; what is only above a subscribed name is \\Noselect (RFC 3501 6.3.9)."""
    out: list[bytes] = []
    for place in places:
        if place is not None:
            name, is_subscribed, _ = place
            out.append(b'* LSUB (%b) "/" %b\r\n' % (b"" if is_subscribed else b"\\Noselect", encoded(name)))
        if place is None or len(out) == _LSUB_LINES:
            yield b"".join(out)
            out.clear()
    yield b"".join(out)


def attributes(row: Listed, *, has_children: bool) -> bytes:
    """Of a mailbox that is there, as IMAP4rev2's SELECT and OLDNAME have them (RFC 9051 6.3.2)."""
    return _attributes(True, row.noselect, row.role, has_children, row.subscribed != 0)


def marks(row: Listed | None, *, has_children: bool, subscribed: bool) -> bytes:
    """Of a name as it is now; None: no mailbox bears it, or it only holds others (RFC 5465 5.4)."""
    return _attributes(row is not None, 0, None if row is None else row.role, has_children, subscribed)


def bare_marks(*, has_children: bool, subscribed: bool) -> bytes:
    """Of a name that a mailbox bore for a while."""
    return _attributes(True, 0, None, has_children, subscribed)


@lru_cache(maxsize=256)
def _attributes(exists: bool, noselect: int, role: str | None, has_children: bool, subscribed: bool) -> bytes:
    marks = "\\HasChildren" if has_children else "\\HasNoChildren"
    if not exists:
        marks = "\\NonExistent " + marks
    elif noselect:
        marks = "\\Noselect " + marks
    if role is not None:
        marks += " " + role
    if subscribed:
        marks += " \\Subscribed"
    return marks.encode("ascii")


def metadata_line(name: bytes, values: Iterable[tuple[str, bytes | None]]) -> bytes:
    """RFC 5464 4.4.1: `* METADATA` with entries and values."""
    words = [b"%b %b" % (render.astring(entry.encode("ascii")), render.nstring8(value)) for entry, value in values]
    return b"* METADATA %b (%b)\r\n" % (name, b" ".join(words))
