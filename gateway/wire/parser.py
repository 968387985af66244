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

from . import commands, sasl
from .append import Place
from .commands import Command, StoreAction
from .events import Frame, tag_of
from .parse_append import append_steps, flag_list
from .parse_fetch import fetch_items, fetch_modifiers
from .parse_list import create, list_, lsub, status
from .parse_metadata import getmetadata, setmetadata
from .parse_modseq import select_parameters, store_modifiers
from .parse_multisearch import esearch
from .parse_notify import notify
from .parse_quota import getquota, getquotaroot, setquota
from .parse_session import compress, language
from .parse_sort import UnknownCharset, cancel_update, search, sort, thread
from .parse_url_commands import genurlauth, resetkey, urlfetch
from .tokens import Cursor, Malformed

_NAME: Final = re.compile(rb"[A-Za-z]++(?= |\Z)")
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
    """SEARCH in a charset we do not have: answer NO [BADCHARSET (…)] (RFC 3501 6.4.4).

    `saves`: what the last search saved is forgotten (RFC 5182 2.1).
    """

    def __init__(self, tag: bytes | None, text: str, *, saves: bool) -> None:
        super().__init__(tag, text)
        self.saves = saves


def parse(frame: Frame, *, utf8: bool = False) -> Command:
    """The command in `frame`; with `utf8` mailbox names are UTF-8 (RFC 6855). BadCommand, BadCharset.

    A frame of `LiteralStart` (index 0) gives an `Append` or a `Replace`; a whole one of them is made of URLs only.
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
            raise BadCharset(tag, str(error), saves=error.saves) from None
        except Malformed as error:
            raise BadCommand(tag, str(error)) from None
        return kind(tag, *arguments)
    try:
        return _parse(Cursor(rest, frame.literals, utf8=utf8), tag)
    except UnknownCharset as error:
        raise BadCharset(tag, str(error), saves=error.saves) from None
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


def _append(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    mailbox = _mailbox(cursor)
    return commands.Append(tag, mailbox, *append_steps(cursor, Place.MESSAGE))


def _replace(uid: bool) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        message = cursor.one_message()
        cursor.space()
        mailbox = _mailbox(cursor)
        return commands.Replace(tag, uid, message, mailbox, *append_steps(cursor, Place.MESSAGE))

    return read


def _expunge(cursor: Cursor, tag: bytes) -> Command:
    return commands.Expunge(tag)


def _uid_expunge(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    return commands.Expunge(tag, cursor.messages())


def _by(read: Callable[[Cursor, bytes, bool], Command], uid: bool) -> Read:
    return lambda cursor, tag: read(cursor, tag, uid)


def _fetch(uid: bool) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        messages = cursor.messages()
        cursor.space()
        return commands.Fetch(tag, uid, messages, fetch_items(cursor), *fetch_modifiers(cursor, uid=uid))

    return read


def _store(uid: bool) -> Read:
    actions = {b"": StoreAction.SET, b"+": StoreAction.ADD, b"-": StoreAction.REMOVE}

    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        messages = cursor.messages()
        cursor.space()
        since = None
        if cursor.peek() == b"(":
            since = store_modifiers(cursor)
            cursor.space()
        found = cursor.match(_STORE)
        if found is None:
            raise cursor.expected("FLAGS, +FLAGS or -FLAGS")
        cursor.space()
        if cursor.peek() == b"(":
            flags = cursor.listed(cursor.flag, empty=True)
            if since is None and not cursor.at_end:
                cursor.space()
                since = store_modifiers(cursor)  # where imapflow 2.1 has them
        else:
            flags = [cursor.flag()]
            while not cursor.at_end:
                cursor.space()
                flags.append(cursor.flag())
        silent = found[2] is not None
        return commands.Store(tag, uid, messages, actions[found[1]], silent, flag_list(flags), since)

    return read


def _copy(kind: type[commands.Copy] | type[commands.Move], uid: bool) -> Read:
    def read(cursor: Cursor, tag: bytes) -> Command:
        cursor.space()
        messages = cursor.messages()
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
    b"REPLACE": _replace(False),
    b"GENURLAUTH": genurlauth,
    b"RESETKEY": resetkey,
    b"URLFETCH": urlfetch,
    b"CHECK": _bare(commands.Check),
    b"CLOSE": _bare(commands.Close),
    b"UNSELECT": _bare(commands.Unselect),
    b"EXPUNGE": _expunge,
    b"SEARCH": _by(search, False),
    b"SORT": _by(sort, False),
    b"THREAD": _by(thread, False),
    b"CANCELUPDATE": cancel_update,
    b"ESEARCH": esearch,
    b"FETCH": _fetch(False),
    b"STORE": _store(False),
    b"COPY": _copy(commands.Copy, False),
    b"MOVE": _copy(commands.Move, False),
    b"IDLE": _bare(commands.Idle),
    b"NAMESPACE": _bare(commands.Namespace),
    b"NOTIFY": notify,
    b"ID": _id,
    b"ENABLE": _enable,
    b"COMPRESS": compress,
    b"UNAUTHENTICATE": _bare(commands.Unauthenticate),
    b"LANGUAGE": language,
}
"""Command name in capitals -> reader of its arguments. `UID` is not among them: see UID_COMMANDS."""

UID_COMMANDS: Final[dict[bytes, Read]] = {
    b"EXPUNGE": _uid_expunge,
    b"SEARCH": _by(search, True),
    b"SORT": _by(sort, True),
    b"THREAD": _by(thread, True),
    b"FETCH": _fetch(True),
    b"STORE": _store(True),
    b"COPY": _copy(commands.Copy, True),
    b"MOVE": _copy(commands.Move, True),
    b"REPLACE": _replace(True),
}
