"""Flags on two sides, and what they were when both last agreed: what goes up, what is applied here. Pure.

A flag is there or not, so of three values two are equal: where the sides differ, one of them still says what both
agreed on, and the other one changed it. There is no conflict but where nothing was ever agreed on (a message that was
just matched after a new UIDVALIDITY): there `FlagRules` decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.model.flags import DELETED, MAX_KEYWORD_LENGTH, SYSTEM_BY_FOLDED, SYSTEM_FLAGS, SYSTEM_MASK
from gateway.model.sequence import Ranges, from_numbers

_ATOM: Final = re.compile(r'[^\x00-\x20(){%*"\\\]\x7f-\U0010ffff]+\Z')  # RFC 3501 9 flag-keyword
NEW_KEYWORDS: Final = "\\*"
"""In PERMANENTFLAGS: keywords that nobody has used yet are kept too."""


class Flags(NamedTuple):
    """System flags as a mask (`gateway.model.flags`) and keywords, each once whatever its case, sorted."""

    mask: int = 0
    keywords: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """As IMAP spells them, system flags first."""
        return [name for name, bit in SYSTEM_FLAGS.items() if self.mask & bit] + list(self.keywords)

    def __bool__(self) -> bool:
        return bool(self.mask or self.keywords)


NO_FLAGS: Final = Flags()


def flags_of(names: Iterable[str]) -> Flags:
    """From a server's list. What we could not store or say again is left out, and so is never changed upstream either:
    \\Recent and system flags of others, keywords that are no atoms (Gmail has some with `]`) or too long.
    """
    mask = 0
    keywords: dict[str, str] = {}
    for name in names:
        system = SYSTEM_BY_FOLDED.get(name.lower())
        if system is not None:
            mask |= system
        elif len(name) <= MAX_KEYWORD_LENGTH and _ATOM.match(name):
            folded = name.lower()
            known = keywords.get(folded)
            keywords[folded] = name if known is None else min(known, name)  # whichever comes first: the same each time
    return Flags(mask, tuple(sorted(keywords.values())))


class Side(StrEnum):
    """Whose word counts where nothing was agreed on."""

    UPSTREAM = "upstream"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class FlagRules:
    """`two_way` False: nothing goes up, and what is said here stays here. `permanent`: PERMANENTFLAGS (None: all).

    `synced`: system flags that are kept in sync at all; the others are each side's own.
    """

    two_way: bool = False
    permanent: frozenset[str] | None = None
    deleted: Side = Side.UPSTREAM
    others: Side = Side.LOCAL
    synced: int = SYSTEM_MASK


@dataclass(frozen=True, slots=True)
class FlagMerge:
    """What follows from a difference.

    `base` is what both agree on once the local part is done: what upstream says now. `pushed`: the base once the
    upstream part is done as well. Applying a part twice changes nothing.
    """

    here_add: Flags = NO_FLAGS
    here_remove: Flags = NO_FLAGS
    up_add: Flags = NO_FLAGS
    up_remove: Flags = NO_FLAGS
    base: Flags = NO_FLAGS
    pushed: Flags = NO_FLAGS

    @property
    def goes_up(self) -> bool:
        return bool(self.up_add or self.up_remove)

    @property
    def applies_here(self) -> bool:
        return bool(self.here_add or self.here_remove)


def merge(base: Flags | None, local: Flags, remote: Flags, rules: FlagRules) -> FlagMerge:
    """Bring both sides together. `base` None: nothing was ever agreed on.

    With a base, who changed a flag wins. Without `two_way` only what upstream changed is applied.
    """
    if local == remote:
        return FlagMerge(base=remote, pushed=remote)
    here_add, here_remove, up_add, up_remove = _merge_masks(
        None if base is None else base.mask, local.mask, remote.mask, rules
    )
    words = _merge_keywords(None if base is None else base.keywords, local.keywords, remote.keywords, rules)
    add, remove = Flags(up_add, words.up_add), Flags(up_remove, words.up_remove)
    return FlagMerge(
        Flags(here_add, words.here_add),
        Flags(here_remove, words.here_remove),
        add,
        remove,
        remote,
        _applied(remote, add, remove) if add or remove else remote,
    )


def _merge_masks(base: int | None, local: int, remote: int, rules: FlagRules) -> tuple[int, int, int, int]:
    """System flags: add here, remove here, add there, remove there."""
    differing = (local ^ remote) & rules.synced
    ours, theirs = _who_changed(base, differing, local, remote, rules)
    if not rules.two_way:
        return theirs & remote, theirs & local, 0, 0
    ours &= _permanent_mask(rules)
    return theirs & remote, theirs & local, ours & local, ours & remote


def _who_changed(base: int | None, differing: int, local: int, remote: int, rules: FlagRules) -> tuple[int, int]:
    if base is not None:
        return differing & ~(base ^ remote), differing & (base ^ remote)
    wins = _LOCAL_WINS[rules.deleted, rules.others]
    if rules.two_way:
        return differing & wins, differing & ~wins
    return 0, differing & (remote | ~wins)  # set here, never known there: this side's own


def _merge_keywords(
    base: tuple[str, ...] | None, local: tuple[str, ...], remote: tuple[str, ...], rules: FlagRules
) -> _Words:
    if local == remote:
        return _Words()
    ours, theirs = _by_fold(local), _by_fold(remote)
    only_here, only_there = ours.keys() - theirs.keys(), theirs.keys() - ours.keys()
    if base is not None:
        known = _by_fold(base).keys()
        here_add, here_remove = only_there - known, only_here & known
        up_add, up_remove = only_here - known, only_there & known
    elif rules.others is Side.UPSTREAM:
        here_add, here_remove, up_add, up_remove = only_there, only_here, set(), set()
    elif rules.two_way:
        here_add, here_remove, up_add, up_remove = set(), set(), only_here, only_there
    else:
        here_add, here_remove, up_add, up_remove = only_there, set(), set(), set()
    if not rules.two_way:
        up_add, up_remove = set(), set()
    elif rules.permanent is not None and NEW_KEYWORDS not in rules.permanent:
        permanent = {name.lower() for name in rules.permanent}
        up_add, up_remove = up_add & permanent, up_remove & permanent
    return _Words(
        tuple(sorted(theirs[word] for word in here_add)),
        tuple(sorted(ours[word] for word in here_remove)),
        tuple(sorted(ours[word] for word in up_add)),
        tuple(sorted(theirs[word] for word in up_remove)),
    )


class _Words(NamedTuple):
    here_add: tuple[str, ...] = ()
    here_remove: tuple[str, ...] = ()
    up_add: tuple[str, ...] = ()
    up_remove: tuple[str, ...] = ()


def _permanent_mask(rules: FlagRules) -> int:
    if rules.permanent is None:
        return SYSTEM_MASK
    mask = 0
    for name in rules.permanent:
        mask |= SYSTEM_BY_FOLDED.get(name.lower(), 0)
    return mask


_OTHERS: Final = SYSTEM_MASK & ~DELETED
_LOCAL_WINS: Final = {
    (Side.LOCAL, Side.LOCAL): SYSTEM_MASK,
    (Side.LOCAL, Side.UPSTREAM): DELETED,
    (Side.UPSTREAM, Side.LOCAL): _OTHERS,
    (Side.UPSTREAM, Side.UPSTREAM): 0,
}
"""(`deleted`, `others`) -> the flags for which our word counts."""


def _by_fold(keywords: tuple[str, ...]) -> Mapping[str, str]:
    return {name.lower(): name for name in keywords}


def _applied(flags: Flags, add: Flags, remove: Flags) -> Flags:
    words = dict(_by_fold(flags.keywords))
    for word in remove.keywords:
        words.pop(word.lower(), None)
    for word in add.keywords:
        words.setdefault(word.lower(), word)
    return Flags((flags.mask | add.mask) & ~remove.mask, tuple(sorted(words.values())))


def applied(flags: Flags, change: FlagMerge) -> Flags:
    """`flags`, as they were here, after the local part of `change`."""
    return _applied(flags, change.here_add, change.here_remove)


@dataclass(frozen=True, slots=True)
class FlagBatch:
    """One STORE: `flags` set or taken away from `uids`."""

    uids: Ranges
    adds: bool
    flags: Flags


def batches(changes: Iterable[tuple[int, Flags, Flags]], most: int) -> list[FlagBatch]:
    """As few STOREs as say (uid, add, remove): messages with the same change together, at most `most` in one.

    Additions come first: a message that is being undeleted and flagged is never briefly neither.
    """
    groups: dict[tuple[bool, Flags], list[int]] = {}
    for uid, add, remove in changes:
        if add:
            groups.setdefault((True, add), []).append(uid)
        if remove:
            groups.setdefault((False, remove), []).append(uid)
    found = []
    for (adds, flags), uids in sorted(groups.items(), key=lambda group: not group[0][0]):
        uids.sort()
        for start in range(0, len(uids), most):
            found.append(FlagBatch(from_numbers(uids[start : start + most]), adds, flags))
    return found
