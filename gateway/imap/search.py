"""SEARCH and UID SEARCH (RFC 3501 6.4.4): memory first, then pages of rows and octets in reader processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.model import sequence
from gateway.model.errors import InvalidRequest
from gateway.wire import commands as c
from gateway.wire import render
from gateway.wire import search as keys

from .replies import Reply, ok
from .search_keys import Candidate, Compiled, Compiler, Cost, Criteria
from .search_page import Found, search_page
from .selected import Selected
from .settings import MEMORY_PAGE, SEARCH_PAGE, SEARCH_TEXT_PAGE
from .view import Slices

if TYPE_CHECKING:
    from .session import Session


async def search(session: Session, command: c.Search) -> Reply:
    """Answers `* SEARCH` also when nothing was found. Messages another session expunged are not found."""
    selected = session.require_selected()
    view = selected.view
    last_uid = view.uids[view.length - 1] if view.length else 0
    criteria = Criteria(command.key, view.length, last_uid, dict(selected.shared.state.keywords))
    for key in keys.walk(command.key):
        if isinstance(key, keys.Numbers) and not key.uid:
            _check_numbers(key, view.length)
    compiler = criteria.compiler()
    compiled = compiler.compile(command.key)
    weight = sum(1 for _ in keys.walk(command.key)) if compiled.memory is not None else 1
    found = await _by_memory(session, selected, compiler, compiled, weight)
    if compiled.rest is not None and found:
        found = await _by_content(session, selected, criteria, compiled.cost, found)
    answer = [uid if command.uid else number for number, uid, _ in found]
    if command.returns is None:
        session.channel.send(render.search(answer))
    else:
        session.channel.send(_extended(command, answer))
    return ok("SEARCH completed")


def _check_numbers(key: keys.Numbers, exists: int) -> None:
    """A number beyond EXISTS is BAD; in an empty mailbox `1:*` is what scripts send and finds nothing."""
    ranges = key.messages.resolve(exists)
    if ranges and ranges[-1][1] > exists and not (exists == 0 and key.messages.uses_star):
        raise InvalidRequest("Invalid message sequence number")


def _extended(command: c.Search, answer: Sequence[int]) -> bytes:
    wanted = command.returns or ("ALL",)
    return render.esearch(
        command.tag,
        command.uid,
        minimum=answer[0] if answer and "MIN" in wanted else None,
        maximum=answer[-1] if answer and "MAX" in wanted else None,
        all_=sequence.from_numbers(answer) if "ALL" in wanted else None,
        count=len(answer) if "COUNT" in wanted else None,
    )


async def _by_memory(
    session: Session, selected: Selected, compiler: Compiler, compiled: Compiled, weight: int
) -> Found:
    """What numbers, UIDs and flags leave over. `weight`: tests a message; a thousand keys must not hold the loop."""
    view = selected.view
    if compiled.impossible:
        return []
    slices: Slices = [(0, view.length)]
    for numbers in compiled.within:
        slices = _intersect(slices, _slices(selected, compiler, numbers))
    care, want, test = compiled.care, compiled.want, compiled.memory
    found: Found = []
    turn = 0
    page = max(MEMORY_PAGE // weight, 1)
    for start, stop in slices:
        for at in range(start, stop, page):
            end = min(at + page, stop)
            if turn > 2 * MEMORY_PAGE:
                turn = 0
                await session.channel.breathe()
            turn += (end - at) * weight
            rows = zip(range(at + 1, end + 1), view.uids[at:end], view.masks_of(at, end), strict=True)
            if test is None:
                found += [row for row in rows if row[2] & care == want]
            else:
                found += [row for row in rows if row[2] & care == want and test(Candidate(*row))]
    if view.pending:
        found = [row for row in found if row[1] not in view.pending]
    return found


def _slices(selected: Selected, compiler: Compiler, numbers: keys.Numbers) -> Slices:
    view = selected.view
    if numbers.uid:
        return view.by_uid(numbers.messages)
    return [(low - 1, high) for low, high in compiler.ranges(numbers) if high <= view.length]


def _intersect(left: Slices, right: Slices) -> Slices:
    found: Slices = []
    i = j = 0
    while i < len(left) and j < len(right):
        start = max(left[i][0], right[j][0])
        stop = min(left[i][1], right[j][1])
        if start < stop:
            found.append((start, stop))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return found


async def _by_content(session: Session, selected: Selected, criteria: Criteria, cost: Cost, found: Found) -> Found:
    db, mailbox_id = session.services.db, selected.shared.state.mailbox_id
    page = SEARCH_TEXT_PAGE if cost >= Cost.HEADER else SEARCH_PAGE
    read = db.offload_bulk if cost is Cost.TEXT else db.offload
    kept: Found = []
    at = 0
    while at < len(found):
        if at:
            await session.channel.breathe()
        passed, consumed = await read(search_page, mailbox_id, criteria, found[at : at + page])
        kept += passed
        at += consumed
    return kept
