"""ESEARCH over mailboxes (RFC 7377): each is searched as if it were selected, one after another."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway.model.errors import NotFound
from gateway.model.mailbox import INBOX, Mailbox
from gateway.model.names import parents
from gateway.store import mailboxes
from gateway.wire import commands as c
from gateway.wire import search_results as results
from gateway.wire.commands import Scope
from gateway.wire.search import Option, Returns

from . import access, contexts, freshness
from .access import Action
from .filters import refusing
from .long_answers import beside, send
from .mailbox_names import in_utf8
from .mailbox_state import Delta
from .replies import Reply, bad, ok
from .search import check_charset, keep, saving
from .search_answer import by_uid, highest, items, need_of, shown
from .search_run import Run, prepare
from .selected import Selected

if TYPE_CHECKING:
    from .session import Session

_ALONE = frozenset({Scope.SELECTED})


@refusing
async def esearch(session: Session, command: c.MultiSearch) -> Reply:
    """A response for each mailbox in which something is found, none for the others (RFC 7377 2.1)."""
    check_charset(session, command)
    returns = command.returns if command.returns is not None else Returns()
    scopes = {source.scope for source in command.sources}
    selected = session.selected
    if selected is None and (Scope.SELECTED in scopes or Option.UPDATE in returns):
        return bad("No mailbox is selected")
    if Option.SAVE in returns and scopes != _ALONE:
        return bad("SAVE is for the selected mailbox alone")
    if selected is not None:
        contexts.check_tag(selected, command.tag, returns)
    if freshness.wanted(session):
        await freshness.look_and_tell(session, alone=scopes == _ALONE)
    reply = ok("ESEARCH completed")
    here = selected.mailbox.id if selected is not None else None
    for mailbox in await _chosen(session, command):
        if selected is not None and mailbox.id == here:
            reply = await _selected(session, selected, command, returns, mailbox)
        else:
            await _other(session, command, returns, mailbox)
        await session.channel.breathe()
    return reply


async def _chosen(session: Session, command: c.MultiSearch) -> list[Mailbox]:
    """The mailboxes that the sources mean and the key may read, by name, none twice; others are passed over."""
    principal = session.require_principal()
    inbox_id = principal.inbox_id
    rows = await session.services.db.read(lambda rx: mailboxes.list_mailboxes(rx, inbox_id))
    here = session.selected.mailbox.id if session.selected is not None else None
    sources = Sources(command.sources)
    found: dict[str, Mailbox] = {}
    for mailbox in rows:
        if mailbox.noselect or not access.allowed(principal, Action.READ, mailbox.role):
            continue
        if sources.mean(mailbox.name, subscribed=mailbox.subscribed, selected=mailbox.id == here):
            found[mailbox.name] = mailbox
    return [found[name] for name in sorted(found)]


class Sources:
    """What a command's sources mean together, however many they are: this is asked of each mailbox."""

    def __init__(self, sources: Iterable[c.Source]) -> None:
        self._scopes: set[Scope] = set()
        self._named: dict[Scope, set[str]] = {Scope.MAILBOXES: set(), Scope.SUBTREE: set(), Scope.SUBTREE_ONE: set()}
        for source in sources:
            self._scopes.add(source.scope)
            if source.scope in self._named:
                self._named[source.scope].update(source.names)
        self._names = set().union(*self._named.values())

    def mean(self, name: str, *, subscribed: bool, selected: bool) -> bool:
        scopes = self._scopes
        if name in self._names or Scope.PERSONAL in scopes:
            return True
        if (subscribed and Scope.SUBSCRIBED in scopes) or (selected and Scope.SELECTED in scopes):
            return True
        if name == INBOX and Scope.INBOXES in scopes:  # where mail is delivered to (RFC 5465 6.2)
            return True
        above = parents(name)
        if above and above[-1] in self._named[Scope.SUBTREE_ONE]:
            return True
        return not self._named[Scope.SUBTREE].isdisjoint(above)


async def _selected(
    session: Session, selected: Selected, command: c.MultiSearch, returns: Returns, mailbox: Mailbox
) -> Reply:
    since = contexts.mark(selected)
    with saving(selected, returns):
        run = await prepare(session, selected, command.key, strict=False)
        found = await run.find(need_of(returns))
    if found:
        await _answer(session, selected, command, returns, mailbox, run, found)
    contexts.begin(session, selected, command, run.key, found, since)
    return await keep(selected, returns, found, "ESEARCH completed")


class _Visitor:
    """Watches a mailbox that is searched without being selected, so that its view holds."""

    def __init__(self, selected: Selected) -> None:
        self._selected = selected
        self.gone = False

    def mailbox_changed(self, delta: Delta) -> None:
        self._selected.view.note(delta)

    def mailbox_gone(self) -> None:
        self.gone = True


async def _other(session: Session, command: c.MultiSearch, returns: Returns, mailbox: Mailbox) -> None:
    states = session.services.states
    try:
        shared = await states.open(mailbox)
    except NotFound:
        return  # deleted meanwhile
    selected = Selected(shared, mailbox, read_only=True)
    visitor = _Visitor(selected)
    states.watch(shared, visitor)
    try:
        run = await prepare(session, selected, command.key, strict=False)
        found = await run.find(need_of(returns))
        if not found or visitor.gone:
            return
        await _answer(session, selected, command, returns, mailbox, run, found)
    finally:
        states.unwatch(shared, visitor)


async def _answer(
    session: Session,
    selected: Selected,
    command: c.MultiSearch,
    returns: Returns,
    mailbox: Mailbox,
    run: Run,
    found: array[int],
) -> None:
    """What was `found` in a mailbox, which is not nothing."""
    source, utf8 = (mailbox.name, mailbox.uidvalidity), in_utf8(session)
    modseq = await highest(session, selected, shown(returns, found)) if run.asks_modseq else None

    def answer() -> bytes | None:
        data = items(returns, found, by_uid(rising=True), modseq)
        return None if data is None else results.esearch(command.tag, True, data, source=source, utf8=utf8)

    response = await beside(len(found), answer)
    if response is not None:
        await send(session, response)
