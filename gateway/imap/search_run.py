"""Finding messages of the selected mailbox: memory first, then rows, then octets, page by page in reader processes.

SEARCH, SORT and THREAD ask here. What comes out are UIDs, for numbers are the answer's business.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.model.errors import InvalidRequest
from gateway.model.sequence import SequenceSet
from gateway.store import find
from gateway.store.trigrams import with_index
from gateway.wire import search as keys

from .filters import expanded
from .search_keys import Candidate, Compiler, Cost, Criteria
from .search_modseq import asks_modseq, resolved
from .search_page import asks_for_marks, search_page
from .selected import Selected
from .settings import MASK_PAGE, MEMORY_PAGE, PAGES_AHEAD, SEARCH_PAGE, SEARCH_ROWS, SEARCH_TEXT_PAGE
from .view import Slices

if TYPE_CHECKING:
    from .session import Session

@dataclass(frozen=True, slots=True)
class Need:
    """How many results are needed, counted from the first one and from the last one; `first` None: all of them."""

    first: int | None = None
    last: int = 0


EVERYTHING: Final = Need()


class Run:
    """One set of criteria over the view as it is when the command begins (RFC 5267 4.3: so are its numbers)."""

    __slots__ = (
        "_compiled", "_compiler", "_criteria", "_selected", "_session", "_slices", "_weight", "asks_modseq", "key",
    )  # fmt: skip

    def __init__(self, session: Session, selected: Selected, key: keys.SearchKey, slices: Slices) -> None:
        """`key` has passed `prepare`."""
        view = selected.view
        last_uid = view.uids[view.length - 1] if view.length else 0
        keywords = dict(selected.shared.state.keywords)
        now = int(session.services.clock())
        self._session = session
        self._selected = selected
        self._compiler = Compiler(exists=view.length, last_uid=last_uid, keywords=keywords, now=now)
        self._compiled = compiled = self._compiler.compile(key)
        self._criteria = Criteria(compiled.rest_key, view.length, last_uid, keywords, now)
        self._slices = slices
        self._weight = sum(1 for _ in keys.walk(key)) if compiled.memory is not None else 1
        self.asks_modseq = False
        self.key = key
        """The criteria without filters, else as the client gave them."""

    async def find(self, need: Need = EVERYTHING) -> array[int]:
        """UIDs in rising order: all that match, or at least what `need` counts of them."""
        compiled = self._compiled
        if compiled.impossible:
            return array("I")
        slices = self._slices
        for numbers in compiled.within:
            slices = _intersect(slices, _slices(self._selected, self._compiler, numbers))
        if need.first is None:
            return await self._scan(slices, None)
        found: array[int] = array("I")
        if need.first:
            found = await self._scan(slices, need.first)
            if len(found) < need.first:
                return found  # these are all
            index = self._selected.view.index_of(found[-1])
            assert index is not None  # nothing of the view goes while a command runs
            slices = _intersect(slices, [(index + 1, self._selected.view.length)])
        if need.last:
            found += await self._scan(slices, need.last, backwards=True)
        return found

    async def among(self, uids: Iterable[int]) -> array[int]:
        """Those of the rising `uids` of the view that match now; their sequence numbers are the present ones."""
        view = self._selected.view
        slices = neighbours(self._selected, [uid for uid in uids if view.index_of(uid) is not None])
        slices = _intersect(slices, self._slices)
        compiled = self._compiled
        if compiled.impossible:
            return array("I")
        for numbers in compiled.within:
            slices = _intersect(slices, _slices(self._selected, self._compiler, numbers))
        return await self._scan(slices, None)

    async def _scan(self, slices: Slices, limit: int | None, *, backwards: bool = False) -> array[int]:
        """What matches in `slices`, from one end on until there are `limit` of them."""
        pieces: list[array[int]] = []
        count = 0
        waiting: array[int] = array("I")
        page = self._page
        budget = 0
        for start, stop in _chunks(slices, max(page // self._weight, 1) if self._compiled.memory else page, backwards):
            if budget > 2 * page:
                budget = 0
                await self._session.channel.breathe()
            budget += (stop - start) * self._weight
            found = self._by_memory(start, stop)
            if self._deep:
                waiting = found + waiting if backwards else waiting + found
                if len(waiting) < page and limit is None:
                    continue  # few are left of many: pages are filled before they are read
                found, waiting = await self._by_content(waiting), array("I")
            pieces.append(found)
            count += len(found)
            if limit is not None and count >= limit:
                break
        if waiting:
            pieces.append(await self._by_content(waiting))
        if backwards:
            pieces.reverse()
        result = pieces[0] if len(pieces) == 1 else sum(pieces, array("I"))
        if limit is None or len(result) <= limit:
            return result
        return result[-limit:] if backwards else result[:limit]

    @property
    def _deep(self) -> bool:
        return self._compiled.rows is not None or self._compiled.rest is not None

    @property
    def _page(self) -> int:
        """Messages that are looked at in memory in one turn."""
        return MEMORY_PAGE if self._compiled.memory is not None else MASK_PAGE

    def _by_memory(self, start: int, stop: int) -> array[int]:
        compiled, view = self._compiled, self._selected.view
        care, want, test = compiled.care, compiled.want, compiled.memory
        uids = view.uids[start:stop]
        if test is not None:
            rows = zip(range(start + 1, stop + 1), uids, view.masks_of(start, stop), strict=True)
            uids = array("I", [row[1] for row in rows if row[2] & care == want and test(Candidate(*row))])
        elif care:
            masks = view.masks_of(start, stop)
            uids = array("I", [uid for uid, mask in zip(uids, masks, strict=True) if mask & care == want])
        if view.pending:
            uids = array("I", [uid for uid in uids if uid not in view.pending])
        return uids

    async def _by_content(self, uids: array[int]) -> array[int]:
        """Those that pass what memory could not decide."""
        db, mailbox_id = self._session.services.db, self._selected.shared.state.mailbox_id
        rows, rest = self._compiled.rows, self._compiled.rest
        if rows is not None:
            kept: array[int] = array("I")
            for at in range(0, len(uids), SEARCH_ROWS * PAGES_AHEAD):
                await self._breathe(at)
                pages = [
                    db.offload(find.matching, mailbox_id, rows, uids[first : first + SEARCH_ROWS])
                    for first in range(at, min(at + SEARCH_ROWS * PAGES_AHEAD, len(uids)), SEARCH_ROWS)
                ]
                for passed in await asyncio.gather(*pages):
                    kept += passed
            uids = kept
        return uids if rest is None else await self._by_rest(uids)

    async def _by_rest(self, uids: array[int]) -> array[int]:
        db, view, mailbox_id = self._session.services.db, self._selected.view, self._selected.shared.state.mailbox_id
        cost = self._compiled.cost
        page = SEARCH_TEXT_PAGE if cost >= Cost.HEADER else SEARCH_PAGE
        read = db.offload_bulk if cost is Cost.TEXT else db.offload
        marked = asks_for_marks(self._criteria.key)
        texts = self._session.services.trigrams if cost is Cost.TEXT else None
        kept: array[int] = array("I")
        at = 0
        while at < len(uids):
            await self._breathe(at)
            batch = uids[at : at + page]
            marks = [(view.number_of(uid), view.mask_of(uid)) for uid in batch] if marked else None
            ask = partial(read, search_page, mailbox_id, self._criteria, batch, marks)
            passed, consumed = await with_index(texts, ask)
            kept += passed
            at += consumed
        return kept

    async def _breathe(self, at: int) -> None:
        if at:
            await self._session.channel.breathe()


async def prepare(session: Session, selected: Selected, key: keys.SearchKey, *, strict: bool = True) -> Run:
    """Ready to find what `key` asks for. InvalidRequest for a number beyond EXISTS, if that is `strict`."""
    view = selected.view
    if keys.uses(key, keys.Filter):
        key = await expanded(session, key)
    lasting = key
    for part in keys.walk(key) if strict else ():
        if isinstance(part, keys.Numbers) and not part.uid:
            _check_numbers(part, view.length)
    modseq = asks_modseq(key)
    if keys.uses(key, keys.Saved) or keys.uses(key, keys.Fuzzy):
        saved = keys.Numbers(SequenceSet(tuple(view.saved_ranges())), uid=True)
        key = keys.replaced(key, lambda part: saved if isinstance(part, keys.Saved) else part)
    wanted, slices = await resolved(session, view, key)
    run = Run(session, selected, wanted, slices)
    run.asks_modseq = modseq
    run.key = lasting
    return run


def _check_numbers(key: keys.Numbers, exists: int) -> None:
    """A number beyond EXISTS is BAD; in an empty mailbox `1:*` is what scripts send and finds nothing."""
    ranges = key.messages.resolve(exists)
    if ranges and ranges[-1][1] > exists and not (exists == 0 and key.messages.uses_star):
        raise InvalidRequest("Invalid message sequence number")


def _chunks(slices: Slices, size: int, backwards: bool) -> Iterator[tuple[int, int]]:
    """The slices cut to at most `size` messages each, from one end or the other."""
    if backwards:
        for start, stop in reversed(slices):
            for at in range(stop, start, -size):
                yield max(start, at - size), at
        return
    for start, stop in slices:
        for at in range(start, stop, size):
            yield at, min(at + size, stop)


def _slices(selected: Selected, compiler: Compiler, numbers: keys.Numbers) -> Slices:
    view = selected.view
    if numbers.uid:
        return view.by_uid(numbers.messages)
    ranges = compiler.ranges(numbers)
    return [(low - 1, min(high, view.length)) for low, high in ranges if low <= view.length]


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


def numbers_of(selected: Selected, uids: Sequence[int]) -> list[int]:
    """Sequence numbers of rising UIDs of the view."""
    view = selected.view
    if len(uids) == view.length:
        return list(range(1, view.length + 1))
    found: list[int] = []
    for low, high in neighbours(selected, uids):
        found.extend(range(low + 1, high + 1))
    return found


def neighbours(selected: Selected, uids: Sequence[int]) -> Slices:
    """Runs of neighbours in the view that hold exactly the rising `uids`."""
    view = selected.view
    found: Slices = []
    at = 0
    while at < len(uids):
        start = view.number_of(uids[at]) - 1
        length = _common(view.uids, start, uids, at)
        found.append((start, start + length))
        at += length
    return found


def _common(listed: Sequence[int], start: int, uids: Sequence[int], at: int) -> int:
    """How many of `uids` from `at` on stand in a row in `listed` from `start` on; found in steps that double."""
    length = 1
    step = 1
    most = min(len(uids) - at, len(listed) - start)
    while length < most and uids[at + length] == listed[start + length]:
        end = min(length + step, most)
        if uids[at + length : at + end] == listed[start + length : start + end]:
            length = end
            step *= 2
        else:
            step = 1
            length += 1
    return length


