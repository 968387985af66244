"""What a search answers: which results RETURN needs, shows and saves (RFC 4731, 5182, 5267, 6203, 7162, 9394)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.wire import commands as c
from gateway.wire import search_results as results
from gateway.wire.render import in_order
from gateway.wire.search import Option, Partial, Returns

from . import pieces
from .long_answers import beside, send
from .search_run import EVERYTHING, Need, neighbours, numbers_of
from .selected import Selected
from .settings import MASK_PAGE
from .view import ranges_of

if TYPE_CHECKING:
    from .session import Session

RELEVANCY: Final = 100
"""What FUZZY finds it finds exactly, which RFC 6203 5 leaves to the server: every result is as relevant as can be."""

_DATA: Final = frozenset({Option.MIN, Option.MAX, Option.ALL, Option.COUNT, Option.RELEVANCY})


@dataclass(frozen=True, slots=True)
class Numbering:
    """How an answer names messages: `one` by its UID, `many` in the order given, as ranges."""

    one: Callable[[int], int]
    many: Callable[[Sequence[int]], Sequence[tuple[int, int]]]


def by_uid(*, rising: bool) -> Numbering:
    return Numbering(lambda uid: uid, ranges_of if rising else in_order)


def by_number(selected: Selected, *, rising: bool) -> Numbering:
    view = selected.view
    if rising:
        return Numbering(view.number_of, lambda uids: [(low + 1, high) for low, high in neighbours(selected, uids)])
    return Numbering(view.number_of, lambda uids: in_order(numbered(selected, uids)))


def numbered(selected: Selected, uids: Sequence[int]) -> list[int]:
    """Sequence numbers of UIDs of the view, in the order given."""
    view = selected.view
    if len(uids) * 8 < view.length:
        return [view.number_of(uid) for uid in uids]
    number = numbers_by_uid(selected)
    return [number[uid] for uid in uids]


def numbers_by_uid(selected: Selected) -> dict[int, int]:
    """The sequence number of each UID of the view."""
    view = selected.view
    number: dict[int, int] = {}
    for at in range(0, view.length, MASK_PAGE):  # no thread holds the interpreter for the whole of a large one
        stop = min(at + MASK_PAGE, view.length)
        number.update(zip(view.uids[at:stop], range(at + 1, stop + 1), strict=True))
    return number


def need_of(returns: Returns | None) -> Need:
    """How much of a search in mailbox order an answer needs."""
    if returns is None or returns.options & {Option.ALL, Option.COUNT, Option.RELEVANCY, Option.UPDATE}:
        return EVERYTHING
    if Option.SAVE in returns and _saves_all(returns):
        return EVERYTHING
    first, last = int(Option.MIN in returns), int(Option.MAX in returns)
    if returns.partial is not None and returns.partial.from_end:
        last = max(last, returns.partial.last)
    elif returns.partial is not None:
        first = max(first, returns.partial.last)
    return Need(first, last)


def _saves_all(returns: Returns) -> bool:
    """RFC 5182 2.4 and RFC 9394 3.2, their tables of what `$` holds."""
    if returns.options & {Option.ALL, Option.COUNT}:
        return True
    return returns.partial is None and not returns.options & {Option.MIN, Option.MAX}


def shown(returns: Returns | None, found: Sequence[int]) -> Sequence[int]:
    """The results an answer is about: the ends and the part where only these are asked for, else all."""
    if returns is None or _saves_all(returns):
        return found
    ends = [found[0]] if Option.MIN in returns and found else []
    if returns.partial is not None:
        ends += part(returns.partial, found)
    if Option.MAX in returns and found:
        ends.append(found[-1])
    return list(dict.fromkeys(ends))


def part(partial: Partial, found: Sequence[int]) -> Sequence[int]:
    """The results in `partial`'s range, in their order."""
    if not partial.from_end:
        return found[partial.first - 1 : partial.last]
    return found[max(len(found) - partial.last, 0) : max(len(found) - partial.first + 1, 0)]


def items(returns: Returns, found: Sequence[int], numbering: Numbering, modseq: int | None) -> list[bytes] | None:
    """Return data of an ESEARCH response; None for no response at all: the results are only saved (RFC 5182 1)."""
    if Option.SAVE in returns and returns.partial is None and not returns.options & _DATA:
        return None
    data: list[bytes] = []
    if found and Option.MIN in returns:
        data.append(results.minimum(numbering.one(found[0])))
    if found and Option.MAX in returns:
        data.append(results.maximum(numbering.one(found[-1])))
    listed = found
    if returns.partial is not None:
        listed = part(returns.partial, found)
        data.append(results.partial(returns.partial.text, numbering.many(listed) if listed else ()))
    elif found and Option.ALL in returns:
        data.append(results.all_(numbering.many(found)))
    if Option.COUNT in returns:
        data.append(results.count(len(found)))
    if Option.RELEVANCY in returns and found:
        data.append(results.relevancy([RELEVANCY] * len(listed)))
    if modseq is not None:
        data.append(results.modseq(modseq))
    return data


async def respond(
    session: Session,
    command: c.Search | c.Sort,
    returns: Returns | None,
    found: Sequence[int],
    *,
    rising: bool,
    asks_modseq: bool,
) -> None:
    """Send what SEARCH or SORT has found: UIDs, `rising` in mailbox order. Closed."""
    selected = session.require_selected()
    modseq = await highest(session, selected, shown(returns, found)) if found and asks_modseq else None

    def make() -> bytes | None:
        if returns is None:
            numbers = numbers_of if rising else numbered
            listed = found if command.uid else numbers(selected, found)
            return results.numbers(b"SEARCH" if rising else b"SORT", listed, modseq)
        numbering = by_uid(rising=rising) if command.uid else by_number(selected, rising=rising)
        data = items(returns, found, numbering, modseq)
        return None if data is None else results.esearch(command.tag, command.uid, data)

    response = await beside(len(found), make)
    if response is not None:
        await send(session, response)


async def highest(session: Session, selected: Selected, uids: Sequence[int]) -> int | None:
    """The highest MODSEQ of some messages of the view, which is now shown (RFC 7162 3.1.5). Closed.

    None for no messages: PARTIAL may lie beyond all that was found.
    """
    if not uids:
        return None
    selected.modseq_shown = True
    view, found, turn = selected.view, 0, 0
    for start, stop in await beside(len(uids), lambda: neighbours(selected, pieces.rising(uids))):
        for low in range(start, stop, MASK_PAGE):
            if turn >= MASK_PAGE:
                turn = 0
                await session.channel.breathe()
            high = min(low + MASK_PAGE, stop)
            turn += high - low
            found = max(found, max(view.modseqs_of(low, high)))
    return found


