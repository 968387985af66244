"""A frame -> a typed command (RFC 3501 9 `command` and the extensions that are advertised).

Beyond what is advertised it takes only what clients send unasked: CREATE with a use, LIST's options, SEARCH RETURN,
flags without parentheses, raw UTF-8. Errors name the command, what was expected and the octet (counted from the
command's name); they never show what the client sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from gateway.model import names
from gateway.model.flags import MAX_KEYWORD_LENGTH, SYSTEM_BY_FOLDED

from . import commands, sasl
from .commands import Command, Flags, StoreAction
from .events import Frame, tag_of
from .parse_fetch import fetch_items
from .parse_list import create, list_, lsub, status
from .parse_metadata import getmetadata, setmetadata
from .parse_modseq import fetch_modifiers, select_parameters, unchanged_since
from .parse_quota import getquota, getquotaroot, setquota
from .parse_search import UnknownCharset, search_arguments
from .tokens import Cursor, Malformed

_NAME: Final = re.compile(rb"[A-Za-z]++(?= |\Z)")
_MESSAGE: Final = re.compile(rb"(?:(~?)|(UTF8 \(~))\{([0-9]++)(\+?)\}\n\Z", re.IGNORECASE)
_STORE: Final = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?= )", re.IGNORECASE)
_CACHED_TEXT: Final = 512  # octets; longer commands rarely repeat
_CACHED_COMMANDS: Final = 1024
# LOGIN and AUTHENTICATE hold secrets; APPEND never repeats.
_NEVER_CACHED: Final = frozenset({b"LO", b"AU", b"AP"})


class BadCommand(Exception):
    """What the client sent is no command: answer BAD with `text`, untagged when `tag` is None."""

    def __init__(self, tag: bytes | None, text: str) -> None:
        super().__init__(text)
        self.tag = tag
        self.text = text


class BadCharset(BadCommand):
    """SEARCH in a charset we do not have: answer NO [BADCHARSET (US-ASCII UTF-8)] (RFC 3501 6.4.4)."""


def parse(frame: Frame, *, utf8: bool = False) -> Command:
    """The command in `frame`; with `utf8` mailbox names are UTF-8 (RFC 6855). BadCommand, BadCharset.

    A frame of `LiteralStart` (index 0) gives an `Append`; a whole APPEND frame has no message and is BadCommand.
    """
    text = frame.text
    tag = tag_of(text)
    if tag is None:
        raise BadCommand(None, "Expected a tag and a command")
    rest = text[len(tag) + 1 :]
    if not frame.literals and len(rest) <= _CACHED_TEXT and rest[:2].upper() not in _NEVER_CACHED:
        try:
            kind, arguments = _parse_cached(rest, utf8)
        except UnknownCharset as error:
            raise BadCharset(tag, str(error)) from None
        except Malformed as error:
            raise BadCommand(tag, str(error)) from None
        return kind(tag, *arguments)
    try:
        return _parse(Cursor(rest, frame.literals, utf8=utf8), tag)
    except UnknownCharset as error:
        raise BadCharset(tag, str(error)) from None
    except Malformed as error:
        raise BadCommand(tag, str(error)) from None


@lru_cache(maxsize=_CACHED_COMMANDS)
def _parse_cached(rest: bytes, utf8: bool) -> tuple[Callable[..., Command], tuple[Any, ...]]:
    """The command's class and its arguments without the tag. Errors are not kept."""
    command = _parse(Cursor(rest, utf8=utf8), b"")
    fields: tuple[str, ...] = type(command).__match_args__[1:]
    return type(command), tuple(getattr(command, field) for field in fields)


def _parse(cursor: Cursor, tag: bytes) -> Command:
    found = cursor.match(_NAME)
    if found is None:
        raise Malformed("Expected a command after the tag")
    name = found[0].upper()
    table: dict[bytes, Callable[[Cursor, bytes], Command]] = COMMANDS
    label = name
    if name == b"UID":
        cursor.space()
        found = cursor.match(_NAME)
        if found is None:
            raise cursor.expected("a command")
        name, table = found[0].upper(), UID_COMMANDS
        label = b"UID " + name
    read = table.get(name)
    if read is None:
        raise Malformed("Unknown command")
    try:
        command = read(cursor, tag)
        cursor.end()
    except UnknownCharset:
        raise
    except Malformed as error:
        raise Malformed(f"{label.decode('ascii')}: {error}") from None
    return command


Read = Callable[[Cursor, bytes], Command]


def _bare(kind: type[Command]) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        return kind(tag)

    return read


def _mailbox(cursor: Cursor) -> str:
    return names.canonical(cursor.mailbox())


def _one_mailbox(kind: Callable[[bytes, str], Command]) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        return kind(tag, _mailbox(cursor))

    return read


def _mailbox_as_given(kind: Callable[[bytes, str, str], Command]) -> Read:
    """As `_one_mailbox`, for a command that tells the client how its spelling is stored (RFC 9051 6.3.9.7)."""

    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        given = cursor.mailbox()
        mailbox = names.canonical(given)
        return kind(tag, mailbox, given if given != mailbox else "")

    return read


def _select(kind: type[commands.Select] | type[commands.Examine]) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        given = cursor.mailbox()
        mailbox = names.canonical(given)
        return kind(tag, mailbox, *select_parameters(cursor), given if given != mailbox else "")

    return read


def _authenticate(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    mechanism = cursor.keyword("a SASL mechanism")
    if cursor.at_end:
        return commands.Authenticate(tag, mechanism)
    cursor.space()
    text = cursor.text[cursor.at :]
    cursor.at = len(cursor.text)
    try:
        return commands.Authenticate(tag, mechanism, sasl.initial_response(text))
    except ValueError:
        raise Malformed("The initial response is not base64") from None


def _login(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    user = cursor.astring("a user name")
    cursor.space()
    return commands.Login(tag, user, cursor.astring("a password"))


def _rename(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    old = cursor.mailbox()
    cursor.space()
    new = cursor.mailbox()
    stored = names.canonical(old), names.canonical(new)
    return commands.Rename(tag, *stored, old if stored != (old, new) else "")


def _flags(found: list[bytes]) -> Flags:
    system = 0
    keywords: dict[str, str] = {}
    for flag in found:
        name = flag.decode("ascii")
        folded = name.lower()
        if not name.startswith("\\"):
            if len(name) > MAX_KEYWORD_LENGTH:
                raise Malformed(f"A keyword may have {MAX_KEYWORD_LENGTH} characters at most")
            keywords.setdefault(folded, name)
        elif folded in SYSTEM_BY_FOLDED:
            system |= SYSTEM_BY_FOLDED[folded]
        elif folded != "\\recent":
            raise Malformed("Unknown system flag")
    return Flags(system, tuple(keywords.values()))


def _append(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    mailbox = _mailbox(cursor)
    cursor.space()
    flags = Flags()
    date = None
    if cursor.peek() == b"(":
        flags = _flags(cursor.listed(cursor.flag, empty=True))
        cursor.space()
    if cursor.peek() == b'"':
        date = cursor.date_time()
        cursor.space()
    message = cursor.match(_MESSAGE)
    if message is None:
        raise cursor.expected("a message literal")
    utf8 = message[2] is not None
    digits = message[3].lstrip(b"0")
    if len(digits) > 18:
        raise Malformed("The message is too long")
    binary = utf8 or message[1] == b"~"
    return commands.Append(tag, mailbox, flags, date, int(digits or b"0"), not message[4], binary, utf8)


def _expunge(cursor: Cursor, tag: bytes) -> Command:
    return commands.Expunge(tag)


def _uid_expunge(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    return commands.Expunge(tag, cursor.sequence_set())


def _search(uid: bool) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        return commands.Search(tag, uid, *search_arguments(cursor))

    return read


def _fetch(uid: bool) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        messages = cursor.sequence_set()
        cursor.space()
        return commands.Fetch(tag, uid, messages, fetch_items(cursor), *fetch_modifiers(cursor, uid=uid))

    return read


def _store(uid: bool) -> Read:
    actions = {b"": StoreAction.SET, b"+": StoreAction.ADD, b"-": StoreAction.REMOVE}

    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        messages = cursor.sequence_set()
        cursor.space()
        since = unchanged_since(cursor)
        found = cursor.match(_STORE)
        if found is None:
            raise cursor.expected("FLAGS, +FLAGS or -FLAGS")
        cursor.space()
        if cursor.peek() == b"(":
            flags = cursor.listed(cursor.flag, empty=True)
        else:
            flags = [cursor.flag()]
            while not cursor.at_end:
                cursor.space()
                flags.append(cursor.flag())
        silent = found[2] is not None
        return commands.Store(tag, uid, messages, actions[found[1]], silent, _flags(flags), since)

    return read


def _copy(kind: type[commands.Copy] | type[commands.Move], uid: bool) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        messages = cursor.sequence_set()
        cursor.space()
        return kind(tag, uid, messages, _mailbox(cursor))

    return read


def _id(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    if cursor.nil():
        return commands.Id(tag, None)

    def pair() -> tuple[bytes, bytes | None]:
        field = cursor.string("a field name")
        cursor.space()
        return field, cursor.nstring()

    return commands.Id(tag, tuple(cursor.listed(pair, empty=True)))


def _enable(cursor: Cursor, tag: bytes) -> Command:
    found: list[str] = []
    while not found or not cursor.at_end:
        cursor.space()
        found.append(cursor.keyword("a capability"))
    return commands.Enable(tag, tuple(found))


COMMANDS: Final[dict[bytes, Read]] = {
    b"CAPABILITY": _bare(commands.Capability),
    b"NOOP": _bare(commands.Noop),
    b"LOGOUT": _bare(commands.Logout),
    b"STARTTLS": _bare(commands.StartTls),
    b"AUTHENTICATE": _authenticate,
    b"LOGIN": _login,
    b"SELECT": _select(commands.Select),
    b"EXAMINE": _select(commands.Examine),
    b"CREATE": create,
    b"DELETE": _mailbox_as_given(commands.Delete),
    b"RENAME": _rename,
    b"SUBSCRIBE": _one_mailbox(commands.Subscribe),
    b"UNSUBSCRIBE": _one_mailbox(commands.Unsubscribe),
    b"LIST": list_,
    b"LSUB": lsub,
    b"STATUS": status,
    b"GETMETADATA": getmetadata,
    b"SETMETADATA": setmetadata,
    b"GETQUOTA": getquota,
    b"GETQUOTAROOT": getquotaroot,
    b"SETQUOTA": setquota,
    b"APPEND": _append,
    b"CHECK": _bare(commands.Check),
    b"CLOSE": _bare(commands.Close),
    b"UNSELECT": _bare(commands.Unselect),
    b"EXPUNGE": _expunge,
    b"SEARCH": _search(False),
    b"FETCH": _fetch(False),
    b"STORE": _store(False),
    b"COPY": _copy(commands.Copy, False),
    b"MOVE": _copy(commands.Move, False),
    b"IDLE": _bare(commands.Idle),
    b"NAMESPACE": _bare(commands.Namespace),
    b"ID": _id,
    b"ENABLE": _enable,
}
"""Command name in capitals -> reader of its arguments. `UID` is not among them: see UID_COMMANDS."""

UID_COMMANDS: Final[dict[bytes, Read]] = {
    b"EXPUNGE": _uid_expunge,
    b"SEARCH": _search(True),
    b"FETCH": _fetch(True),
    b"STORE": _store(True),
    b"COPY": _copy(commands.Copy, True),
    b"MOVE": _copy(commands.Move, True),
}
