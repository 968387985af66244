"""An inbox that is only dictionaries: mailboxes, messages, MODSEQs, as the RFCs say they change. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.model_mail import Content, Mail

ROLES = {"Sent": "\\Sent", "Drafts": "\\Drafts", "Trash": "\\Trash", "Spam": "\\Junk", "Archive": "\\Archive"}
STATUS_ITEMS = ["MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "SIZE", "DELETED", "DELETED-STORAGE", "HIGHESTMODSEQ"]


@dataclass(eq=False)
class Box:
    """A mailbox; one that was deleted or renamed away stays known to those who had it selected."""

    name: str
    uidvalidity: int
    modseq: int
    role: str | None = None
    uidnext: int = 1
    noselect: bool = False
    mails: dict[int, Mail] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)
    """UID -> the MODSEQ at which it went."""
    entries: dict[str, str] = field(default_factory=dict)
    deleted: bool = False
    object_id: str = ""
    vague: int = 0
    """Up to this MODSEQ it is not known when messages went."""

    def status(self, items: Iterable[str]) -> dict[str, Any]:
        mails = self.mails.values()
        doomed = [mail for mail in mails if "\\Deleted" in mail.flags]
        values: dict[str, Any] = {
            "MESSAGES": len(mails),
            "UIDNEXT": self.uidnext,
            "UIDVALIDITY": self.uidvalidity,
            "UNSEEN": sum("\\Seen" not in mail.flags for mail in mails),
            "SIZE": sum(len(mail.content.octets) for mail in mails),
            "DELETED": len(doomed),
            "DELETED-STORAGE": sum(len(mail.content.octets) for mail in doomed),
            "HIGHESTMODSEQ": self.modseq,
        }
        return {item: values[item] for item in items}


def canonical(name: str) -> str:
    head, slash, rest = unicodedata.normalize("NFC", name).removesuffix("/").partition("/")
    return ("INBOX" if head.upper() == "INBOX" else head) + slash + rest


class Inbox:
    """One user's. `now` is the server's clock, which stands still."""

    def __init__(self, modseq: int, uidvalidity: int, now: int) -> None:
        self.modseq, self.uidvalidity, self.now = modseq, uidvalidity, now
        self.boxes: dict[str, Box] = {}
        self.subscribed = {"INBOX", "Sent", "Drafts", "Trash", "Spam"}
        for at, name in enumerate(["INBOX", "Sent", "Drafts", "Trash", "Spam"]):
            self.boxes[name] = Box(name, uidvalidity - 4 + at, modseq, ROLES.get(name))

    def draw(self) -> int:
        self.modseq += 1
        return self.modseq

    def find(self, name: str) -> Box | None:
        return self.boxes.get(canonical(name))

    # -- messages ------------------------------------------------------------------------------------------------

    def _add(self, box: Box, content: Content, flags: frozenset[str], date: int) -> int:
        uid = box.uidnext
        box.mails[uid] = Mail(uid, flags, self.modseq, content, date, self.now)
        box.uidnext, box.modseq = uid + 1, self.modseq
        return uid

    def append(self, box: Box, mails: Iterable[tuple[Content, frozenset[str], int]]) -> list[int]:
        self.draw()
        return [self._add(box, *mail) for mail in mails]

    def store(self, box: Box, uids: Iterable[int], sign: str, flags: frozenset[str], since: int | None) -> list[int]:
        """The UIDs that UNCHANGEDSINCE refuses."""
        refused, new = [], {}
        for uid in uids:
            mail = box.mails.get(uid)
            if mail is None:
                continue
            if since is not None and mail.modseq > since:
                refused.append(uid)
                continue
            after = flags if not sign else mail.flags | flags if sign == "+" else mail.flags - flags
            if after != mail.flags:
                new[uid] = after
        if new:
            box.modseq = self.draw()
            for uid, after in new.items():
                box.mails[uid].flags, box.mails[uid].modseq = after, box.modseq
        return refused

    def remove(self, box: Box, uids: Iterable[int]) -> list[int]:
        there = [uid for uid in uids if uid in box.mails]
        if there:
            box.modseq = self.draw()
            self._drop(box, there)
        return there

    def _drop(self, box: Box, uids: Iterable[int]) -> None:
        for uid in uids:
            del box.mails[uid]
            box.gone[uid] = box.modseq = self.modseq

    def copy(self, box: Box, uids: Iterable[int], target: Box) -> list[int]:
        mails = [box.mails[uid] for uid in uids]
        if not mails:
            return []
        self.draw()
        return [self._add(target, mail.content, mail.flags, mail.date) for mail in mails]

    def move(self, box: Box, uids: Iterable[int], target: Box) -> tuple[list[int], list[int]]:
        """Those that were there, and their new UIDs."""
        there = [uid for uid in uids if uid in box.mails]
        made = self.copy(box, there, target)
        self._drop(box, there)
        return there, made

    def replace(self, box: Box, uid: int, target: Box, content: Content, flags: frozenset[str], date: int) -> int:
        self.draw()
        self._drop(box, [uid])
        return self._add(target, content, flags, date)

    # -- mailboxes -----------------------------------------------------------------------------------------------

    def _make(self, name: str, *, noselect: bool = False) -> Box:
        self.uidvalidity += 1
        role = ROLES.get(name)
        if noselect or role in {box.role for box in self.boxes.values()}:
            role = None
        box = self.boxes[name] = Box(name, self.uidvalidity, self.modseq, role, noselect=noselect)
        return box

    def _make_parents(self, name: str) -> None:
        levels = name.split("/")
        for depth in range(1, len(levels)):
            if "/".join(levels[:depth]) not in self.boxes:
                self._make("/".join(levels[:depth]))

    def create(self, given: str) -> Box | None:
        """None: there is one."""
        name = canonical(given)
        old = self.boxes.get(name)
        if old is not None and not old.noselect:
            return None
        self.draw()
        self._make_parents(name)
        return self._make(name)

    def children(self, name: str) -> bool:
        return any(other.startswith(name + "/") for other in self.boxes)

    def delete(self, given: str) -> str:
        """The code of a refusal, "" when it is done."""
        name = canonical(given)
        box = self.boxes.get(name)
        if box is None:
            return "NONEXISTENT"
        if name == "INBOX":
            return "CANNOT"
        children = self.children(name)
        if children and box.noselect:
            return "HASCHILDREN"
        self.draw()
        del self.boxes[name]
        box.deleted = True
        if children:
            self._make(name, noselect=True)
        return ""

    def rename(self, given: str, to: str) -> str:
        old, new = canonical(given), canonical(to)
        box = self.boxes.get(old)
        if box is None:
            return "NONEXISTENT"
        if new in self.boxes:
            return "ALREADYEXISTS"
        if old != "INBOX" and new.startswith(old + "/"):
            return "CANNOT"
        self.draw()
        if old == "INBOX":
            self._make_parents(new)
            target = self._make(new)
            target.entries = dict(box.entries)
            for mail in [*box.mails.values()]:
                self._add(target, mail.content, mail.flags, mail.date)
            self._drop(box, [*box.mails])
            return ""
        self._make_parents(new)
        for name in [name for name in self.boxes if name == old or name.startswith(old + "/")]:
            moved = self.boxes.pop(name)
            moved.name = new + name[len(old) :]
            self.boxes[moved.name] = moved
        return ""

    def subscribe(self, given: str, wanted: bool) -> None:
        name = canonical(given)
        if (name in self.subscribed) is not wanted:
            self.draw()
            (self.subscribed.add if wanted else self.subscribed.discard)(name)

    def annotate(self, box: Box, entry: str, value: str | None) -> None:
        if value is None and entry not in box.entries:
            return
        box.modseq = self.draw()
        if value is None:
            del box.entries[entry]
        else:
            box.entries[entry] = value

    def usage(self) -> dict[str, int]:
        mails = [mail for box in self.boxes.values() for mail in box.mails.values()]
        octets = sum(len(mail.content.octets) for mail in mails)
        real = sum(not box.noselect for box in self.boxes.values())
        return {"STORAGE": -(-octets // 1024), "MESSAGE": len(mails), "MAILBOX": real}
