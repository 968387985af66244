"""The table of commands: in which states each is allowed, who handles it, and what the client may be told after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from gateway.wire import commands as c
from gateway.wire.search import Filter, uses, uses_sequence_numbers

from . import (
    append,
    auth_commands,
    contexts,
    copy_move,
    expunge,
    fetch,
    idle,
    mailbox_commands,
    mailbox_list,
    message_limit,
    metadata,
    multi_search,
    notify,
    quota,
    search,
    select,
    session_commands,
    sort,
    store_command,
    url_commands,
)
from .replies import Reply, bad


class State(Enum):
    """RFC 3501 3."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


class Tell(Enum):
    """Which untagged responses about the mailbox go out before the tagged one (architecture.md, the table)."""

    NOTHING = "nothing"
    WITHHOLD = "EXISTS and FETCH, no EXPUNGE"
    ALL = "EXPUNGE, EXISTS and FETCH"


Handler = Callable[[Any, Any], Awaitable[Reply | None]]
"""(session, command) -> the tagged reply, or None when the handler has sent it."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    states: frozenset[State]
    handler: Handler
    tell: Callable[[Any], Tell]


def _always(tell: Tell) -> Callable[[Any], Tell]:
    return lambda command: tell


def _by_number(command: c.Fetch | c.Store | c.Copy) -> Tell:
    # RFC 3501 7.4.1: EXPUNGE "MUST NOT be sent … while responding to a FETCH, STORE, or SEARCH command"
    return Tell.ALL if command.uid else Tell.WITHHOLD


def _search(command: c.Search | c.Sort | c.Thread) -> Tell:
    return _esearch(command) if command.uid else Tell.WITHHOLD


def _esearch(command: c.Search | c.Sort | c.Thread | c.MultiSearch) -> Tell:
    # What a filter holds is known too late.
    return Tell.WITHHOLD if uses_sequence_numbers(command.key) or uses(command.key, Filter) else Tell.ALL


_ANY: Final = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
_BEFORE: Final = frozenset({State.NOT_AUTHENTICATED})
_AFTER: Final = frozenset({State.AUTHENTICATED, State.SELECTED})
_SELECTED: Final = frozenset({State.SELECTED})
_ALL, _NOTHING = _always(Tell.ALL), _always(Tell.NOTHING)

RULES: Final[Mapping[type[c.Command], Rule]] = {
    c.Capability: Rule("CAPABILITY", _ANY, auth_commands.capability, _ALL),
    c.Noop: Rule("NOOP", _ANY, auth_commands.noop, _ALL),
    c.Logout: Rule("LOGOUT", _ANY, auth_commands.logout, _NOTHING),
    c.Id: Rule("ID", _ANY, auth_commands.identify, _ALL),
    c.StartTls: Rule("STARTTLS", _BEFORE, auth_commands.start_tls, _NOTHING),
    c.Authenticate: Rule("AUTHENTICATE", _BEFORE, auth_commands.authenticate, _NOTHING),
    c.Login: Rule("LOGIN", _BEFORE, auth_commands.login, _NOTHING),
    c.Language: Rule("LANGUAGE", _ANY, session_commands.language, _ALL),
    c.Compress: Rule("COMPRESS", _AFTER, session_commands.compress, _NOTHING),
    c.Unauthenticate: Rule("UNAUTHENTICATE", _AFTER, session_commands.unauthenticate, _NOTHING),
    c.Enable: Rule("ENABLE", _AFTER, auth_commands.enable, _ALL),
    c.Select: Rule("SELECT", _AFTER, select.select, _NOTHING),
    c.Examine: Rule("EXAMINE", _AFTER, select.examine, _NOTHING),
    c.Create: Rule("CREATE", _AFTER, mailbox_commands.create, _ALL),
    c.Delete: Rule("DELETE", _AFTER, mailbox_commands.delete, _ALL),
    c.Rename: Rule("RENAME", _AFTER, mailbox_commands.rename, _ALL),
    c.Subscribe: Rule("SUBSCRIBE", _AFTER, mailbox_commands.subscribe, _ALL),
    c.Unsubscribe: Rule("UNSUBSCRIBE", _AFTER, mailbox_commands.unsubscribe, _ALL),
    c.List: Rule("LIST", _AFTER, mailbox_list.list_, _ALL),
    c.Lsub: Rule("LSUB", _AFTER, mailbox_list.lsub, _ALL),
    c.Status: Rule("STATUS", _AFTER, mailbox_list.status, _ALL),
    c.Namespace: Rule("NAMESPACE", _AFTER, mailbox_list.namespace, _ALL),
    c.GetMetadata: Rule("GETMETADATA", _AFTER, metadata.getmetadata, _ALL),
    c.SetMetadata: Rule("SETMETADATA", _AFTER, metadata.setmetadata, _ALL),
    c.GetQuota: Rule("GETQUOTA", _AFTER, quota.getquota, _ALL),
    c.GetQuotaRoot: Rule("GETQUOTAROOT", _AFTER, quota.getquotaroot, _ALL),
    c.SetQuota: Rule("SETQUOTA", _AFTER, quota.setquota, _ALL),
    c.Append: Rule("APPEND", _AFTER, append.append, _ALL),
    c.Replace: Rule("REPLACE", _SELECTED, append.replace, _ALL),
    c.GenUrlAuth: Rule("GENURLAUTH", _AFTER, url_commands.genurlauth, _ALL),
    c.ResetKey: Rule("RESETKEY", _AFTER, url_commands.resetkey, _ALL),
    c.UrlFetch: Rule("URLFETCH", _AFTER, url_commands.urlfetch, _ALL),
    c.Notify: Rule("NOTIFY", _AFTER, notify.notify, _ALL),
    c.Idle: Rule("IDLE", _AFTER, idle.idle, _ALL),
    c.Check: Rule("CHECK", _SELECTED, mailbox_commands.check, _ALL),
    c.Close: Rule("CLOSE", _SELECTED, expunge.close, _NOTHING),
    c.Unselect: Rule("UNSELECT", _SELECTED, mailbox_commands.unselect, _NOTHING),
    c.Expunge: Rule("EXPUNGE", _SELECTED, message_limit.partly(expunge.expunge), _ALL),
    c.Search: Rule("SEARCH", _SELECTED, search.search, _search),
    c.Sort: Rule("SORT", _SELECTED, sort.sort, _search),
    c.Thread: Rule("THREAD", _SELECTED, sort.thread, _search),
    c.MultiSearch: Rule("ESEARCH", _AFTER, multi_search.esearch, _esearch),
    c.CancelUpdate: Rule("CANCELUPDATE", _SELECTED, contexts.cancel_update, _ALL),
    c.Fetch: Rule("FETCH", _SELECTED, fetch.fetch, _by_number),
    c.Store: Rule("STORE", _SELECTED, message_limit.partly(store_command.store), _by_number),
    c.Copy: Rule("COPY", _SELECTED, message_limit.wholly(copy_move.copy), _by_number),
    c.Move: Rule("MOVE", _SELECTED, message_limit.partly(copy_move.move), _ALL),
}

UID_REQUIRED: Final = bad("Message numbers are not allowed once UIDONLY is enabled", b"UIDREQUIRED")


def uses_numbers(command: c.Command) -> bool:
    """Whether a command takes or answers message numbers: BAD [UIDREQUIRED] after ENABLE UIDONLY (RFC 9586 3).

    Each command that has a form of both kinds tells them apart by its field `uid`; criteria may name numbers too, and
    so does the last argument of SELECT's QRESYNC.
    """
    if getattr(command, "uid", True) is False:
        return True
    key = getattr(command, "key", None)
    if key is not None:
        return uses_sequence_numbers(key)
    resync = getattr(command, "resync", None)
    return resync is not None and resync.matched is not None


def wrong_state(rule: Rule, state: State) -> Reply:
    """BAD with what the client forgot: RFC 3501 3, "It is a protocol error" to send a command in the wrong state."""
    if state is State.NOT_AUTHENTICATED:
        return bad("Please log in first")
    if rule.states <= _BEFORE:
        return bad("Already logged in")
    return bad("No mailbox is selected")
