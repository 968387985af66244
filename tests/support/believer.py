"""A mail client that believes each untagged response and nothing else, and a mailbox that is only dictionaries."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from tests.transcripts.harness import Client

_EXISTS = re.compile(rb"\* (\d+) EXISTS\Z")
_EXPUNGE = re.compile(rb"\* (\d+) EXPUNGE\Z")
_VANISHED = re.compile(rb"\* VANISHED (\(EARLIER\) )?([0-9:,]+)\Z")
_FETCH = re.compile(rb"\* (\d+) (UID)?FETCH \((.*)\)\Z", re.DOTALL)
_UID = re.compile(rb"(?:\A| )UID (\d+)")
_FLAGS = re.compile(rb"(?:\A| )FLAGS \(([^)]*)\)")
_MODSEQ = re.compile(rb"(?:\A| )MODSEQ \((\d+)\)")
_HIGHEST = re.compile(rb"\[HIGHESTMODSEQ (\d+)\]")
_MODIFIED = re.compile(rb"\[MODIFIED ([0-9:,]+)\]")
_SEARCH = re.compile(rb"\* SEARCH((?: \d+)*)(?: \(MODSEQ (\d+)\))?\Z")
_SILENT = re.compile(r"(UID )?STORE ([0-9:*]+)(?: \(UNCHANGEDSINCE \d+\))? ([+-]?)FLAGS\.SILENT \(([^)]*)\)\Z")
_LITERAL = re.compile(rb"\{(\d+)\}\Z")


def numbers(text: bytes | None) -> list[int]:
    """The numbers of a sequence set."""
    found: list[int] = []
    for part in text.split(b",") if text else ():
        low, _, high = part.partition(b":")
        found += range(int(low), int(high or low) + 1)
    return found


@dataclass
class Truth:
    """The mailbox: flags and MODSEQ of each message, and the MODSEQ at which a UID went."""

    modseq: int
    flags: dict[int, frozenset[str]] = field(default_factory=dict)
    changed: dict[int, int] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)
    uidnext: int = 1
    unknown: bool = False
    """Several things happen at once: nobody can say what is true."""

    def append(self, all_flags: list[frozenset[str]]) -> None:
        """One unit."""
        self.modseq += 1
        for flags in all_flags:
            self.flags[self.uidnext], self.changed[self.uidnext] = flags, self.modseq
            self.uidnext += 1

    def store(self, uids: list[int], sign: str, flags: frozenset[str], since: int | None) -> list[int]:
        """One unit; the UIDs that UNCHANGEDSINCE refuses."""
        refused, new = [], {}
        for uid in uids:
            if uid not in self.flags:
                continue
            if since is not None and self.changed[uid] > since:
                refused.append(uid)
                continue
            old = self.flags[uid]
            after = flags if not sign else old | flags if sign == "+" else old - flags
            if after != old:
                new[uid] = after
        if new:
            self.modseq += 1
            self.flags |= new
            self.changed |= dict.fromkeys(new, self.modseq)
        return refused

    def remove(self, uids: list[int]) -> list[int]:
        """One unit; those that were there."""
        there = [uid for uid in uids if uid in self.flags]
        if there:
            self.modseq += 1
            for uid in there:
                del self.flags[uid], self.changed[uid]
                self.gone[uid] = self.modseq
        return there


@dataclass
class Message:
    uid: int | None = None
    flags: frozenset[str] | None = None


class Believer:
    """One client. What it keeps over its connections: the messages it knows, `highest` and `complete`.

    `resyncs`: it has enabled QRESYNC. `uid_only`: it never sees a number.
    """

    def __init__(self, truth: Truth, *, resyncs: bool = False, uid_only: bool = False) -> None:
        self.truth = truth
        self.resyncs = resyncs
        self.uid_only = uid_only
        self.client: Client | None = None
        self.messages: list[Message] = []
        self.exists = 0
        self.highest = 0
        self.complete = 0
        """All messages up to this UID are known."""
        self.modified: list[int] = []
        self.earlier: list[int] = []
        self.found: tuple[list[int], int] | None = None
        """SEARCH's answer and its MODSEQ, 0 for none."""
        self.flags_told: set[int] = set()
        self._shown: list[int] = []
        self._told: int | None = None

    @property
    def uids(self) -> list[int]:
        return [message.uid for message in self.messages if message.uid is not None]

    @property
    def known(self) -> dict[int, frozenset[str]]:
        return {m.uid: m.flags for m in self.messages if m.uid is not None and m.flags is not None}

    @property
    def knows_all(self) -> bool:
        return len(self.known) == len(self.messages) == self.exists

    def leave(self) -> None:
        """The connection is gone; what has no UID or flags yet is forgotten."""
        assert self.client is not None
        self.client.session.connection_lost()
        self.client = None
        self._learned()
        self.messages = [Message(uid, flags) for uid, flags in self.known.items()]
        self._shown, self._told = [], None

    def select(self, highest: int = 0, known: dict[int, frozenset[str]] | None = None) -> None:
        """A mailbox was selected of which it knows all, or nothing at all."""
        if known is None:
            self.messages, self.complete, self.highest = [Message() for _ in range(self.exists)], 0, self._told or 0
            if self.uid_only:
                self.messages = []
        else:
            self.messages = [Message(uid, known[uid]) for uid in sorted(known)]
            self.highest = highest
        self._shown, self._told = [], None
        self._learned()

    async def run(self, command: str, cut: int | None = None) -> bytes | None:
        """Send a command and believe its responses; where only the first `cut` arrive, the connection goes (None)."""
        assert self.client is not None
        self.client.send(b"x " + command.encode() + b"\r\n")
        return await self.hear(command, b"x", cut)

    async def hear(self, command: str, tag: bytes, cut: int | None = None) -> bytes | None:
        assert self.client is not None
        self.modified, self.earlier, self.found, self.flags_told = [], [], None, set()
        lines = await whole_lines(self.client, tag)
        for line in lines[:cut]:
            self.believe(line, command)
        if cut is not None and cut < len(lines):
            self.leave()
            return None
        if self._told is not None:
            self.highest = self._told
        else:
            self.highest = max(self.highest, *self._shown, 0)
        self._shown, self._told = [], None
        self._learned()
        return lines[-1]

    def listed(self) -> list[tuple[Message, Message]]:
        """Each message, and as it is now."""
        return [(message, replace(message)) for message in self.messages]

    def reckon(self, command: str, before: list[tuple[Message, Message]]) -> None:
        """After a silent STORE: what the client has done itself it knows, unless it was told otherwise."""
        match = _SILENT.match(command)
        if match is None:
            return
        by_uid, (low, _, high), sign, flags = match[1], match[2].partition(":"), match[3], frozenset(match[4].split())
        first, last = int(low), 2**32 if high == "*" else int(high or low)
        for number, (message, was) in enumerate(before, 1):
            if message.uid in self.flags_told:
                continue
            if by_uid and was.uid is None:
                message.flags = None  # is it one of these? it asks
                self.complete = min(self.complete, (message.uid or self.complete + 1) - 1)
            own = was.uid if by_uid else number
            if own is None or not first <= own <= last or own in self.modified:
                continue
            old = was.flags
            if not sign:
                message.flags = flags
            elif old is not None:
                message.flags = old | flags if sign == "+" else old - flags

    def overhear(self) -> None:
        """Take in what came while it was idle."""
        assert self.client is not None
        *lines, rest = bytes(self.client.received).split(b"\r\n")
        self.client.received[:] = rest
        for line in lines:
            self.believe(line, "IDLE")

    def believe(self, line: bytes, command: str) -> None:
        by_number = command.startswith(("FETCH", "STORE", "COPY", "SEARCH"))
        if match := _EXISTS.match(line):
            exists = int(match[1])
            assert exists >= self.exists
            if not self.uid_only:
                self.messages += [Message() for _ in range(exists - self.exists)]
            self.exists = exists
        elif match := _EXPUNGE.match(line):
            assert not by_number, "EXPUNGE while numbers are in use"
            assert not self.resyncs, "VANISHED instead (RFC 7162 3.2.10, RFC 9586 3.4)"
            del self.messages[int(match[1]) - 1]
            self.exists -= 1
        elif match := _VANISHED.match(line):
            if match[1]:
                self.earlier += numbers(match[2])
                assert not set(self.earlier) & set(self.uids), "it is still counted"
                assert self.truth.unknown or not set(self.earlier) & self.truth.flags.keys(), "it is there"
                return
            assert not by_number, "VANISHED while numbers are in use"
            for uid in numbers(match[2]):
                self._vanish(uid)
        elif match := _FETCH.match(line):
            self._fetched(int(match[1]), match[2] is not None, match[3])
        elif match := _SEARCH.match(line):
            self.found = [int(word) for word in match[1].split()], int(match[2] or 0)
        if match := _HIGHEST.search(line):
            self._told = int(match[1])
        if match := _MODIFIED.search(line):
            self.modified = numbers(match[1])

    def _vanish(self, uid: int) -> None:
        self.exists -= 1
        at = next((at for at, message in enumerate(self.messages) if message.uid == uid), None)
        if at is None and not self.uid_only:
            # One of those that were announced and not asked for yet: they are alike between the UIDs that are known.
            at = max((n + 1 for n, m in enumerate(self.messages) if m.uid is not None and m.uid < uid), default=0)
            assert self.messages[at].uid is None, "VANISHED of a message that was never announced"
        if at is not None:
            del self.messages[at]
        assert self.exists >= len(self.messages)

    def _fetched(self, number: int, by_uid: bool, items: bytes) -> None:
        assert by_uid is self.uid_only
        uid, flags, modseq = _UID.search(items), _FLAGS.search(items), _MODSEQ.search(items)
        if by_uid:
            assert uid is None or int(uid[1]) == number
            message = next((message for message in self.messages if message.uid == number), None)
            if message is None:
                message = Message(number)
                self.messages.append(message)
        else:
            message = self.messages[number - 1]
            if uid is not None:
                assert message.uid in (None, int(uid[1]))
                message.uid = int(uid[1])
        if flags is not None:
            message.flags = frozenset(flags[1].decode().split())
            self.flags_told.add(message.uid or 0)
        if modseq is not None:
            self._shown.append(int(modseq[1]))
            assert self.truth.unknown or self._shown[-1] <= self.truth.modseq

    def _learned(self) -> None:
        """Up to where it knows all: new messages come behind those it knew."""
        if self.uid_only:
            if self.knows_all:
                self.complete = max(self.uids, default=self.complete)
            return
        for message in self.messages:
            if message.uid is None or message.flags is None:
                return
            self.complete = max(self.complete, message.uid)

    def check(self) -> None:
        """Were it to come back now with its HIGHESTMODSEQ, all that it does not know would have a higher one."""
        for uid, flags in self.known.items():
            if uid in self.truth.gone:
                assert self.truth.gone[uid] > self.highest, f"the expunge of {uid} would be lost"
            elif self.truth.changed[uid] <= self.highest:
                assert flags == self.truth.flags[uid], f"the flags of {uid} would be lost"


def uid_and_flags(line: bytes) -> tuple[int, frozenset[str]] | None:
    """Of a FETCH or UIDFETCH response with both, None for another one."""
    match = _FETCH.match(line)
    flags = _FLAGS.search(match[3]) if match is not None else None
    if match is None or flags is None:
        return None
    uid = _UID.search(match[3])
    return int(match[1] if match[2] or uid is None else uid[1]), frozenset(flags[1].decode().split())


async def whole_lines(client: Client, tag: bytes) -> list[bytes]:
    """Responses up to the tagged one, each with its literals."""
    lines: list[bytes] = []
    while not lines or not lines[-1].startswith(tag + b" "):
        line = await client.line()
        while match := _LITERAL.search(line):
            line += b"\r\n" + await client.octets(int(match[1]))
            line += await client.line()
        lines.append(line)
    return lines
