"""Mailbox names between this session and its client: modified UTF-7, or UTF-8 once the client has asked for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.store import listing as rows
from gateway.wire import render

from . import listing

if TYPE_CHECKING:
    from .session import Session

REV2: Final = "IMAP4REV2"
_UTF8: Final = frozenset({"UTF8=ACCEPT", REV2})
_KEPT: Final = 4096  # names: clients ask for the same lists again and again


def in_utf8(session: Session) -> bool:
    """Whether names are UTF-8 both ways from now on (RFC 6855 3, RFC 9051 5.1): ENABLE has switched either on."""
    return not session.enabled.isdisjoint(_UTF8)


def encoded(session: Session, name: str) -> bytes:
    """`name` as this client reads it."""
    return encoder(session)(name)


def encoder(session: Session) -> Callable[[str], bytes]:
    """The same for many names."""
    return _as_utf8 if in_utf8(session) else _as_utf7


@lru_cache(maxsize=_KEPT)
def _as_utf7(name: str) -> bytes:
    return render.mailbox(name)


@lru_cache(maxsize=_KEPT)
def _as_utf8(name: str) -> bytes:
    return render.mailbox(name, utf8=True)


async def tell_place(session: Session, name: str, *, given: str = "", gone: bool = False, always: bool = False) -> None:
    """IMAP4rev2's LIST response beside a command about a mailbox (RFC 9051 6.3.2, 6.3.9.7).

    It names what the client spelled (`given`) in OLDNAME where that is not how the name is stored; without `always`
    it is sent only then. `gone`: the mailbox was deleted. RFC 5258 3: only clients that know extended LIST responses
    are sent such data, and of IMAP4rev1 clients we do not know.
    """
    if REV2 not in session.enabled or not (given or always):
        return
    old_name = b' ("OLDNAME" (%b))' % encoded(session, given) if given else b""
    marks = b"\\NonExistent"
    if not gone:
        inbox_id = session.require_principal().inbox_id
        found = await session.services.db.tiny(lambda rx: rows.with_children(rx, inbox_id, name))
        if found is not None:
            marks = listing.attributes(found[0], has_children=found[1])
    session.channel.send(b'* LIST (%b) "/" %b%b\r\n' % (marks, encoded(session, name), old_name))
