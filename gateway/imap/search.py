"""SEARCH and UID SEARCH (RFC 3501 6.4.4, RFC 9051 6.4.4) with RETURN."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from gateway.model.charsets import NAMED
from gateway.model.errors import InvalidRequest
from gateway.wire import commands as c
from gateway.wire.search import Option, Returns

from . import contexts, freshness
from .filters import refusing
from .long_answers import beside
from .message_limit import code, told
from .pieces import rising
from .replies import Reply, no, ok
from .search_answer import need_of, respond, shown
from .search_run import neighbours, prepare
from .selected import Selected

if TYPE_CHECKING:
    from .session import Session

BAD_CHARSET: Final = no("This charset is not supported", b"BADCHARSET (%b)" % " ".join(NAMED).encode("ascii"))
NOT_SAVED: Final = no("The result is too large to be kept", b"NOTSAVED")
SAVED_RANGES: Final = 100_000
"""Of what `$` stands for: 800 KB of memory. A result of a million messages in a row is one range."""
_ALL: Final = Returns()


@refusing
async def search(session: Session, command: c.Search) -> Reply:
    """Answers `* SEARCH` also when nothing was found. Messages another session expunged are not found."""
    selected = session.require_selected()
    check_charset(session, command)
    returns = returned(session, command.returns)
    contexts.check_tag(selected, command.tag, returns)
    if freshness.wanted(session):
        await freshness.look_and_tell(session)
    since = contexts.mark(selected)
    with saving(selected, returns):
        run = await prepare(session, selected, command.key)
        found = await run.find(need_of(returns))
    found, limited = _highest(session, returns, found)
    await respond(session, command, returns, found, rising=True, asks_modseq=run.asks_modseq)
    contexts.begin(session, selected, command, run.key, found, since)
    return told(session, await keep(selected, returns, found, "SEARCH completed"), limited)


def _highest(session: Session, returns: Returns | None, found: array[int]) -> tuple[array[int], bytes | None]:
    """The last of the results, where a command that lists or saves them may have no more (RFC 9738)."""
    limit = session.services.settings.message_limit
    if not limit or len(found) <= limit or not (returns is None or Option.ALL in returns or Option.SAVE in returns):
        return found, None
    return found[-limit:], code(limit, found[-limit])


def check_charset(session: Session, command: c.Search | c.MultiSearch) -> None:
    """RFC 6855 3: once UTF-8 is on, strings are UTF-8, and a command that says otherwise is BAD."""
    if command.charset is not None and "UTF8=ACCEPT" in session.enabled:
        raise InvalidRequest("No CHARSET may be named once UTF8=ACCEPT is enabled")


@contextmanager
def saving(selected: Selected, returns: Returns | None) -> Iterator[None]:
    """A command that should save its result, and ends in NO, has saved nothing; after BAD what was stays (RFC 5182)."""
    try:
        yield
    except InvalidRequest:
        raise
    except Exception:
        if returns is not None and Option.SAVE in returns:
            selected.view.save([])
        raise


def returned(session: Session, returns: Returns | None) -> Returns | None:
    """What to return: in an IMAP4rev2 session always something, for it knows no SEARCH response (RFC 9051 6.4.4)."""
    return _ALL if returns is None and "IMAP4REV2" in session.enabled else returns


async def keep(selected: Selected, returns: Returns | None, found: array[int], text: str) -> Reply:
    """The tagged reply; before it the results become `$` where the command asks for it (RFC 5182 2.1)."""
    if returns is None or Option.SAVE not in returns:
        return ok(text)
    slices = await beside(len(found), lambda: neighbours(selected, rising(shown(returns, found))))
    if len(slices) > SAVED_RANGES:
        selected.view.save([])
        return NOT_SAVED
    selected.view.save(slices)
    return ok(text)
