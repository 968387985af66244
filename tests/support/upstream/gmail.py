"""Gmail's model: one message with labels; folders are views of it (support.google.com/mail/answer/77657)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.upstream.account import Account
from tests.support.upstream.mail import Mail, Mailbox, Place

SYSTEM = {"INBOX": "\\Inbox", "\\Sent": "\\Sent", "\\Drafts": "\\Draft", "\\Flagged": "\\Starred",
          "\\Important": "\\Important"}
"""Name or attribute of a mailbox -> the label that it shows."""


class GmailAccount(Account):
    """Mail is in \\All with its labels, each label's mailbox shows it too; or in \\Trash or \\Junk, and nowhere else.

    Flags are the message's, so they are the same in each mailbox; \\Starred is \\Flagged. The label of the mailbox that
    is looked at is not among X-GM-LABELS there. `expunge_behaviour`: what the last label's going does to the mail:
    "archive" (stays in \\All), "trash" or "delete" (Gmail's setting of the same name).
    """

    expunge_behaviour = "archive"

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.hidden: set[str] = set()
        """Labels that are not shown in IMAP: messages bear them, and LIST has no mailbox for them."""

    def create(self, raw: str, *attributes: str) -> Mailbox:
        """What bears the label already is in its mailbox."""
        made = super().create(raw, *attributes)
        for mail in {placed.mail for box in self.mailboxes.values() for placed in box.places.values()}:
            if raw in mail.labels:
                made.place(mail)
        return made

    def label_of(self, box: Mailbox) -> str | None:
        """None: \\All, \\Trash, \\Junk, which stand for no label."""
        for name, label in SYSTEM.items():
            if box.raw == name or name in box.attributes:
                return label
        if {"\\All", "\\Trash", "\\Junk"} & set(box.attributes):
            return None
        return box.raw

    def labels_seen(self, placed: Place) -> set[str]:
        """X-GM-LABELS in this mailbox."""
        return placed.mail.labels - {self.label_of(placed.mailbox) or ""}

    def copied(self, placed: Place, to: Mailbox) -> Place:
        """COPY puts a label on; to \\Trash or \\Junk it is a move. The UID of a label that was there already stays."""
        return self._into(placed.mail, to)

    def moved(self, placed: Place, to: Mailbox) -> Place:
        label = self.label_of(placed.mailbox)
        if placed.mailbox is not to and label is not None:
            placed.mail.labels.discard(label)
            if label == "\\Starred":
                placed.mail.flags.discard("\\Flagged")
        made = self._into(placed.mail, to)
        if self._holds(to):
            self._settle(placed.mail)
        return made

    def remove(self, box: Mailbox, uid: int) -> None:
        """EXPUNGE: in a label's mailbox the label goes, in \\Trash and \\Junk the mail; in \\All it goes to \\Trash."""
        mail, label = box.places[uid].mail, self.label_of(box)
        if label is None:
            if "\\All" in box.attributes and (trash := self.role("\\Trash")) is not None:
                mail.flags.discard("\\Deleted")
                self._into(mail, trash)
            else:
                box.take(uid)
            return
        mail.labels.discard(label)
        if label == "\\Starred":
            mail.flags.discard("\\Flagged")
        mail.flags.discard("\\Deleted")
        self._settle(mail)
        if not mail.labels and self.expunge_behaviour != "archive":
            self._leave(mail)
            trash = self.role("\\Trash")
            if self.expunge_behaviour == "trash" and trash is not None:
                trash.place(mail)

    def touched(self, mail: Mail) -> None:
        if self.role("\\All") is not None and any(self._holds(placed.mailbox) for placed in mail.places):
            (mail.labels.add if "\\Flagged" in mail.flags else mail.labels.discard)("\\Starred")
            self._settle(mail, quiet=True)
        super().touched(mail)

    def store_labels(self, placed: Place, labels: set[str]) -> None:
        """Labels as a session in that mailbox sets them: its own stays. \\Trash and \\Spam move the mail, and in
        them any label takes it out."""
        mail, own = placed.mail, self.label_of(placed.mailbox)
        for label, attribute in (("\\Trash", "\\Trash"), ("\\Spam", "\\Junk")):
            target = self.role(attribute)
            if label in labels and target is not None and target is not placed.mailbox:
                self._into(mail, target)
                return
        if not self._holds(placed.mailbox):
            if not labels:
                return
            self._leave(mail)
            if "\\Flagged" in mail.flags:
                labels = labels | {"\\Starred"}
        mail.labels = labels | ({own} if own is not None and own in mail.labels else set())
        (mail.flags.add if "\\Starred" in mail.labels else mail.flags.discard)("\\Flagged")
        self._settle(mail)

    def set_labels(self, raw: str, uids: int | Iterable[int], labels: Iterable[str]) -> None:
        """From outside: exactly these."""
        for uid in [uids] if isinstance(uids, int) else list(uids):
            placed = self.mailbox(raw).places[uid]
            placed.mail.labels = set()
            self.store_labels(placed, set(labels))
        self.notify()

    def rename(self, raw: str, to: str) -> None:
        """The label is renamed on every message."""
        below = raw + self.delimiter
        super().rename(raw, to)
        for mail in {placed.mail for box in self.mailboxes.values() for placed in box.places.values()}:
            old = {label for label in mail.labels if label == raw or label.startswith(below)}
            if old:
                mail.labels = mail.labels - old | {to + label[len(raw) :] for label in old}
                self.touched(mail)

    def delete(self, raw: str) -> None:
        """A label goes; its mail stays in \\All."""
        for uid, placed in list(self.mailboxes[raw].places.items()):
            placed.mail.labels.discard(raw)
            self.mailboxes[raw].take(uid)
            self.touched(placed.mail)
        super().delete(raw)

    def _add(self, raw: str, octets: bytes, flags: Iterable[str], date: int | None, labels: Iterable[str]) -> Place:
        mail = self._mail(octets, flags, date)
        mail.labels = set(labels)
        if "\\Flagged" in mail.flags:
            mail.labels.add("\\Starred")
        return self._into(mail, self.mailbox(raw))

    def _into(self, mail: Mail, to: Mailbox) -> Place:
        label = self.label_of(to)
        if label is None and "\\All" not in to.attributes:
            self._leave(mail, but=to)
            mail.labels.clear()
            return self._at(mail, to) or to.place(mail)
        there = self._at(mail, to)
        if there is not None:
            return there
        for placed in [placed for placed in mail.places if not self._holds(placed.mailbox)]:
            placed.mailbox.take(placed.uid)  # out of \Trash or \Junk
        if label is not None:
            mail.labels.add(label)
        if label == "\\Starred":
            mail.flags.add("\\Flagged")
        if "\\Flagged" in mail.flags:
            mail.labels.add("\\Starred")
        self._settle(mail)
        placed_there = self._at(mail, to)
        assert placed_there is not None, to.raw
        return placed_there

    def _settle(self, mail: Mail, *, quiet: bool = False) -> None:
        """Places follow labels; one that is new has a mailbox."""
        if self.role("\\All") is not None:
            for label in sorted(mail.labels - self.mailboxes.keys() - self.hidden):
                if not label.startswith("\\"):
                    super().create(label)
        for box in self.mailboxes.values():
            label, there = self.label_of(box), self._at(mail, box)
            wanted = "\\All" in box.attributes or (label is not None and label in mail.labels)
            if not self._holds(box):
                continue
            if wanted and there is None:
                box.place(mail)
            elif not wanted and there is not None:
                box.take(there.uid)
        if not quiet:
            super().touched(mail)

    def _leave(self, mail: Mail, *, but: Mailbox | None = None) -> None:
        for placed in list(mail.places):
            if placed.mailbox is not but:
                placed.mailbox.take(placed.uid)

    @staticmethod
    def _at(mail: Mail, box: Mailbox) -> Place | None:
        return next((placed for placed in mail.places if placed.mailbox is box), None)

    @staticmethod
    def _holds(box: Mailbox) -> bool:
        """False for \\Trash and \\Junk, which stand apart, and for what cannot be selected."""
        return box.selectable and not {"\\Trash", "\\Junk"} & set(box.attributes)
