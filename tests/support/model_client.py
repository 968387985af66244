"""A client's picture of the mailbox it has selected, built only from what it was told, and held against the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.wire.mutf7 import decode, encode
from tests.support.believer import numbers, whole_lines
from tests.support.model_inbox import Box
from tests.support.model_responses import esearch, pairs, values
from tests.transcripts.harness import Client

_HIGHEST = re.compile(rb"\[HIGHESTMODSEQ (\d+)\]")
_CODE = re.compile(rb"\A[^ ]+ (OK|NO|BAD) (?:\[([^ \]]+) ?([^\]]*)\])?")


@dataclass
class Entry:
    """What is known of one message; None for what was not told."""

    uid: int | None = None
    flags: frozenset[str] | None = None
    modseq: int | None = None


@dataclass
class Known:
    """What a client with QRESYNC keeps of a mailbox that it has left."""

    uidvalidity: int
    highest: int
    flags: dict[int, frozenset[str]]


@dataclass
class Answer:
    """All that came for one command."""

    tagged: bytes
    lines: list[bytes]
    fetched: list[tuple[int, dict[bytes, Any]]] = field(default_factory=list)
    """FETCH's number or UIDFETCH's UID, and the items."""
    flags_told: set[int] = field(default_factory=set)
    """Places in the list, by identity of their entries."""
    earlier: list[int] = field(default_factory=list)
    found: list[int] | None = None
    found_modseq: int | None = None
    esearches: list[tuple[bytes, dict[bytes, Any]]] = field(default_factory=list)
    lists: list[list[Any]] = field(default_factory=list)
    """LIST, STATUS, METADATA, QUOTA, THREAD and other data, as values."""
    codes: dict[str, str] = field(default_factory=dict)
    """Of untagged OK and NO."""

    @property
    def status(self) -> str:
        return self.tagged.split(b" ")[1].decode()

    @property
    def code(self) -> tuple[str, str]:
        match = _CODE.match(self.tagged)
        assert match is not None, self.tagged
        return (match[2] or b"").decode(), (match[3] or b"").decode()


class Picture:
    """One client: its connection, what ENABLE switched on, what it knows."""

    def __init__(self, habit: Sequence[str] = ()) -> None:
        self.habit = habit
        """What it enables whenever it connects."""
        self.client: Client | None = None
        self.enabled: set[str] = set()
        self.box: Box | None = None
        self.read_only = False
        self.entries: list[Entry] = []
        self.exists = 0
        self.highest = 0
        self.idle = False
        self.saved: list[int] = []
        self.contexts: dict[str, tuple[Any, bool, list[int]]] = {}
        """Tag -> the criteria, whether it is by UID, the results as ADDTO and REMOVEFROM make them."""
        self.remembered: dict[str, Known] = {}
        """By MAILBOXID."""
        self.answer = Answer(b"", [])
        self._shown = self._told = 0

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def uid_only(self) -> bool:
        return "UIDONLY" in self.enabled

    @property
    def modseqs(self) -> bool:
        return "CONDSTORE" in self.enabled

    @property
    def resyncs(self) -> bool:
        return "QRESYNC" in self.enabled

    @property
    def rev2(self) -> bool:
        return "IMAP4REV2" in self.enabled

    @property
    def utf8(self) -> bool:
        return bool(self.enabled & {"IMAP4REV2", "UTF8=ACCEPT"})

    @property
    def uids(self) -> list[int]:
        return [entry.uid for entry in self.entries if entry.uid is not None]

    def spelled(self, name: str) -> bytes:
        text = name.encode() if self.utf8 else encode(name)
        return b'"' + text + b'"'

    def read_name(self, text: bytes) -> str:
        return text.decode() if self.utf8 else decode(text)

    # -- its connection ------------------------------------------------------------------------------------------

    def opened(self, client: Client) -> None:
        self.client, self.enabled, self.idle = client, set(), False
        self.closed_box()

    def closed_box(self) -> None:
        """No mailbox is selected any more; what a client keeps of it, it keeps."""
        if self.box is not None and self.resyncs and not any(e.uid is None or e.flags is None for e in self.entries):
            known = {entry.uid: entry.flags for entry in self.entries}
            self.remembered[self.box.object_id] = Known(self.box.uidvalidity, self.highest, known)  # type: ignore[arg-type]
        self.box, self.entries, self.exists, self.saved, self.contexts = None, [], 0, [], {}
        self.highest = 0

    def selected(self, box: Box, *, read_only: bool) -> None:
        self.box, self.read_only = box, read_only
        self.saved = []

    # -- what it is told -----------------------------------------------------------------------------------------

    async def hear(self, tag: bytes, *, by_number: bool = False) -> Answer:
        """Believe all up to the tagged response. `by_number`: no message may lose its number meanwhile."""
        assert self.client is not None
        *lines, tagged = await whole_lines(self.client, tag)
        answer = self.answer = Answer(tagged, lines)
        self._shown, self._told = 0, 0
        for line in lines:
            self.believe(line, by_number=by_number)
        self._note_highest(tagged)
        self.highest = self._told or max(self.highest, self._shown)
        assert b"SERVERBUG" not in tagged, tagged
        return answer

    def overhear(self) -> None:
        """What has come for a client that idles."""
        assert self.client is not None
        *lines, rest = bytes(self.client.received).split(b"\r\n")
        self.client.received[:] = rest
        self._shown, self._told = 0, 0
        for line in lines:
            self.believe(line)
        self.highest = self._told or max(self.highest, self._shown)

    def _note_highest(self, line: bytes) -> None:
        if match := _HIGHEST.search(line):
            self._told = int(match[1])

    def believe(self, line: bytes, *, by_number: bool = False) -> None:
        answer = self.answer
        if line.startswith(b"+ "):
            return
        assert line.startswith(b"* "), line
        if match := re.match(rb"\* (OK|NO|BAD|BYE|PREAUTH) ", line):
            assert match[1] in (b"OK", b"NO"), line
            if code := _CODE.match(line):
                answer.codes[(code[2] or b"").decode()] = (code[3] or b"").decode()
            if line.startswith(b"* OK [CLOSED]"):
                self.closed_box()
            self._note_highest(line)
            return
        words = values(line[2:])
        if words[1:] == [b"EXISTS"]:
            self._exists(int(words[0]))
        elif words[1:] == [b"EXPUNGE"]:
            assert not by_number, "EXPUNGE while numbers are in use"
            assert not self.resyncs
            assert not self.uid_only
            del self.entries[int(words[0]) - 1]
            self.exists -= 1
        elif words[0] == b"VANISHED":
            assert self.resyncs or self.uid_only
            if words[1] == [b"EARLIER"]:
                answer.earlier += numbers(words[2])
                assert not set(answer.earlier) & set(self.uids), "it is still counted"
                return
            assert not by_number, "VANISHED while numbers are in use"
            for uid in numbers(words[1]):
                self._vanish(uid)
        elif words[1:2] in ([b"FETCH"], [b"UIDFETCH"]):
            self._fetched(int(words[0]), words[1] == b"UIDFETCH", pairs(words[2]))
        elif words[0] in (b"SEARCH", b"SORT"):
            assert answer.found is None
            answer.found = [int(word) for word in words[1:] if isinstance(word, bytes)]
            if words[-1:] and isinstance(words[-1], list):
                answer.found_modseq = int(words[-1][1])
        elif words[0] == b"ESEARCH":
            tag, data = esearch([b"*", *words])
            if b"UPDATES" in data:
                self._update(tag.decode(), data)
            else:
                answer.esearches.append((tag, data))
        else:
            answer.lists.append(words)

    def _exists(self, count: int) -> None:
        assert count >= self.exists, "EXISTS never takes a message away"
        if not self.uid_only:
            self.entries += [Entry() for _ in range(count - self.exists)]
        self.exists = count

    def _vanish(self, uid: int) -> None:
        at = next((at for at, entry in enumerate(self.entries) if entry.uid == uid), None)
        if at is None and not self.uid_only:
            at = max((n + 1 for n, e in enumerate(self.entries) if e.uid is not None and e.uid < uid), default=0)
            assert self.entries[at].uid is None, "VANISHED of a message that was never announced"
        if at is not None:
            del self.entries[at]
        self.exists -= 1
        assert self.exists >= len(self.entries)

    def _fetched(self, number: int, by_uid: bool, items: dict[bytes, Any]) -> None:
        assert by_uid is self.uid_only
        if by_uid:
            entry = next((entry for entry in self.entries if entry.uid == number), None)
            if entry is None:
                entry = Entry(number)
                self.entries.append(entry)
                self.entries.sort(key=lambda entry: entry.uid or 0)
                assert len(self.entries) <= self.exists
        else:
            assert 1 <= number <= len(self.entries), f"{number} of {len(self.entries)}"
            entry = self.entries[number - 1]
        if b"UID" in items:
            assert entry.uid in (None, int(items[b"UID"])), "a number was given to another message"
            entry.uid = int(items[b"UID"])
        if b"FLAGS" in items:
            entry.flags = frozenset(flag.decode() for flag in items[b"FLAGS"])
            self.answer.flags_told.add(id(entry))
        if b"MODSEQ" in items:
            entry.modseq = int(items[b"MODSEQ"][0])
            self._shown = max(self._shown, int(items[b"MODSEQ"][0]))
        self.answer.fetched.append((number, items))

    def _update(self, tag: str, data: dict[bytes, Any]) -> None:
        """RFC 5267 4.3.2: places count from 1; 0 says that there is no order."""
        _, by_uid, found = self.contexts[tag]
        assert bool(data.get(b"UID")) is by_uid
        for kind, changes in data[b"UPDATES"]:
            for place, text in zip(changes[::2], changes[1::2], strict=True):
                at = int(place)
                for shift, one in enumerate(numbers(text)):
                    if kind == b"ADDTO":
                        assert one not in found, "it was there"
                        found.insert(at - 1 + shift if at else len(found), one)
                    else:
                        assert not at or found[at - 1] == one
                        found.remove(one)

    # -- against the model ---------------------------------------------------------------------------------------

    @property
    def knows_all(self) -> bool:
        known = all(
            entry.uid is not None and entry.flags is not None and (entry.modseq is not None or not self.modseqs)
            for entry in self.entries
        )
        return known and len(self.entries) == self.exists

    def differs(self, *, withheld: set[int] | frozenset[int] = frozenset()) -> str:
        """What of this picture is not as the model has it; "" when all is. `withheld`: it may count these still."""
        box = self.box
        assert box is not None
        wanted = sorted({*box.mails, *(withheld - box.mails.keys())})
        if self.exists != len(wanted):
            return f"{self.exists} EXISTS, not {len(wanted)} ({wanted})"
        if not self.uid_only and len(self.entries) != len(wanted):
            return f"{len(self.entries)} numbers, not {len(wanted)}"
        for at, entry in enumerate(self.entries):
            if not self.uid_only and entry.uid not in (None, wanted[at]):
                return f"number {at + 1} is {entry.uid}, not {wanted[at]}"
            mail = box.mails.get(entry.uid or 0)
            if mail is None:
                if entry.uid is not None and entry.uid not in withheld:
                    return f"{entry.uid} is gone"
                continue
            if entry.flags is not None and entry.flags != mail.flags:
                return f"{entry.uid} has {sorted(mail.flags)}, not {sorted(entry.flags)}"
            if self.modseqs and entry.modseq is not None and entry.modseq != mail.modseq:
                return f"{entry.uid} has MODSEQ {mail.modseq}, not {entry.modseq}"
        return ""
