"""Answers of LIST and LSUB, kept as long as the inbox's tree of mailboxes is what it was when they were made.

Each of a user's programs opens several connections and asks each of them for the same list. Whether an answer still
holds is read from the store by key (`listing.tree_version`), so no wake-up has to arrive for it to be right.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from gateway.model.ids import InboxId
from gateway.wire.commands import List, Lsub

MAX_OCTETS: Final = 16 * 1024 * 1024  # of all answers of the process
MAX_ANSWER: Final = 1024 * 1024  # octets of one; ten thousand mailboxes take half of it
_MAX_PATTERNS: Final = 1000  # characters of a question: programs ask short ones
_OVERHEAD: Final = 4096  # octets that an entry counts beside its answer


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks what; the tag of `command` is empty. `utf8`: how the answer spells names."""

    inbox_id: InboxId
    utf8: bool
    command: List | Lsub


def question_of(inbox_id: InboxId, utf8: bool, command: List | Lsub) -> Question | None:
    """None when the answer depends on more than the tree of mailboxes, or is not worth keeping."""
    if isinstance(command, List):
        if command.status or command.metadata or sum(map(len, command.patterns)) > _MAX_PATTERNS:
            return None
    elif len(command.pattern) > _MAX_PATTERNS:
        return None
    if len(command.reference) > _MAX_PATTERNS:
        return None
    return Question(inbox_id, utf8, replace(command, tag=b""))


class ListCache:
    """The least recently used answers go first."""

    def __init__(self, most: int = MAX_OCTETS) -> None:
        self._most = most
        self._octets = 0
        self._answers: OrderedDict[Question, tuple[int, bytes]] = OrderedDict()

    def get(self, question: Question, version: int) -> bytes | None:
        """The answer when it was made of the tree's `version`."""
        found = self._answers.get(question)
        if found is None or found[0] != version:
            return None
        self._answers.move_to_end(question)
        return found[1]

    def put(self, question: Question, version: int, answer: bytes) -> None:
        before = self._answers.pop(question, None)
        if before is not None:
            self._octets -= len(before[1]) + _OVERHEAD
        self._answers[question] = (version, answer)
        self._octets += len(answer) + _OVERHEAD
        while self._octets > self._most:
            _, (_, oldest) = self._answers.popitem(last=False)
            self._octets -= len(oldest) + _OVERHEAD


class Recording:
    """Gathers an answer while it is sent, and keeps it once it is whole. One that gets too long is forgotten."""

    def __init__(self, cache: ListCache, question: Question | None, version: int) -> None:
        self._cache = cache
        self._question = question
        self._version = version
        self._pieces: list[bytes] = []
        self._octets = 0

    def add(self, piece: bytes) -> None:
        if self._question is None:
            return
        self._pieces.append(piece)
        self._octets += len(piece)
        if self._octets > MAX_ANSWER:
            self._question = None
            self._pieces.clear()

    def keep(self) -> None:
        if self._question is not None:
            self._cache.put(self._question, self._version, b"".join(self._pieces))
