"""One account of the scripted upstream, and what others do to it: another client, the provider, new mail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.support.upstream.mail import EPOCH, Mail, Mailbox, Place, digest, example

Uids = int | Iterable[int]
USER, PASSWORD, TOKEN = "user@upstream.test", "secret", "token"


class Account:
    """Mailboxes by raw name. Each method that changes something tells all sessions; those in IDLE say it at once.

    `password`, `token` and what is in `tokens` log in `user`; other names for the same user are in `aliases`.
    """

    def __init__(self, user: str = USER, password: str = PASSWORD, token: str = TOKEN, *,
                 delimiter: str = "/", notify: Callable[[], None] = lambda: None) -> None:
        self.user, self.password, self.token = user, password, token
        self.aliases: set[str] = set()
        self.tokens: set[str] = set()
        self.delimiter = delimiter
        self.mailboxes: dict[str, Mailbox] = {}
        self.notify = notify
        self.sent: str = ""
        """The mailbox in which the provider files what its SMTP server took, "" for none."""
        self._mails = self._made = 0

    # What is there

    def mailbox(self, raw: str) -> Mailbox:
        """KeyError if there is none. INBOX in any case (RFC 3501 5.1)."""
        return self.mailboxes[self.key(raw)]

    def key(self, raw: str) -> str:
        """The name as this server spells it: Yahoo's INBOX is `Inbox`."""
        if raw.upper() != "INBOX":
            return raw
        return next((name for name in self.mailboxes if name.upper() == "INBOX"), "INBOX")

    def role(self, attribute: str) -> Mailbox | None:
        """The mailbox with `attribute` (`\\Trash`)."""
        return next((box for box in self.mailboxes.values() if attribute in box.attributes), None)

    def snapshot(self) -> dict[str, dict[int, tuple[frozenset[str], str]]]:
        """mailbox -> UID -> (flags, SHA-256 of the message): what a client that is in sync knows."""
        return {raw: box.snapshot() for raw, box in self.mailboxes.items() if box.selectable}

    def digests(self, raw: str = "INBOX") -> dict[str, int]:
        """How often each content is in a mailbox: nothing lost, nothing doubled."""
        counts: dict[str, int] = {}
        for placed in self.mailbox(raw).places.values():
            key = digest(placed.mail.octets)
            counts[key] = counts.get(key, 0) + 1
        return counts

    # What others do

    def deliver(self, raw: str = "INBOX", octets: bytes | None = None, *, flags: Iterable[str] = (),
                date: int | None = None, labels: Iterable[str] = ()) -> int:
        """New mail; its UID there."""
        return self.add(raw, octets, flags=flags, date=date, labels=labels).uid

    def deliver_many(self, count: int, raw: str = "INBOX", *, size: int = 0) -> list[int]:
        """`count` different messages, each at least `size` octets."""
        filler = ("x" * 70 + "\r\n") * (size // 72)
        made = [self._add(raw, example(body=filler or "Hello.\r\n"), (), None, ()).uid for _ in range(count)]
        self.notify()
        return made

    def add(self, raw: str, octets: bytes | None = None, *, flags: Iterable[str] = (), date: int | None = None,
            labels: Iterable[str] = ()) -> Place:
        placed = self._add(raw, octets if octets is not None else example(), flags, date, labels)
        self.notify()
        return placed

    def expunge(self, raw: str, uids: Uids) -> None:
        """Gone from this mailbox, whatever its flags."""
        for uid in _each(uids):
            self.remove(self.mailbox(raw), uid)
        self.notify()

    def set_flags(self, raw: str, uids: Uids, flags: Iterable[str]) -> None:
        """Exactly these."""
        wanted = set(flags)
        for uid in _each(uids):
            mail = self.mailbox(raw).places[uid].mail
            if mail.flags != wanted:
                mail.flags = set(wanted)
                self.touched(mail)
        self.notify()

    def add_flags(self, raw: str, uids: Uids, *flags: str) -> None:
        for uid in _each(uids):
            self.set_flags(raw, uid, self.mailbox(raw).places[uid].mail.flags | set(flags))

    def remove_flags(self, raw: str, uids: Uids, *flags: str) -> None:
        for uid in _each(uids):
            self.set_flags(raw, uid, self.mailbox(raw).places[uid].mail.flags - set(flags))

    def copy(self, raw: str, uids: Uids, target: str) -> dict[int, int]:
        """UID there -> UID of its copy."""
        source, to = self.mailbox(raw), self.mailbox(target)
        made = {uid: self.copied(source.places[uid], to).uid for uid in _each(uids)}
        self.notify()
        return made

    def move(self, raw: str, uids: Uids, target: str) -> dict[int, int]:
        source, to = self.mailbox(raw), self.mailbox(target)
        made = {uid: self.moved(source.places[uid], to).uid for uid in _each(uids)}
        self.notify()
        return made

    def create(self, raw: str, *attributes: str) -> Mailbox:
        """ValueError if it is there. A UIDVALIDITY that no mailbox had."""
        if self.key(raw) in self.mailboxes:
            raise ValueError(raw)
        self._made += 1
        made = Mailbox(raw, uidvalidity=1_000_000 + self._made, attributes=attributes, number=self._made)
        self.mailboxes[raw] = made
        self.notify()
        return made

    def rename(self, raw: str, to: str) -> None:
        """With what is below it; UIDVALIDITY and MAILBOXID stay."""
        below = raw + self.delimiter
        for name in [name for name in self.mailboxes if name == raw or name.startswith(below)]:
            box = self.mailboxes.pop(name)
            box.raw = to + name[len(raw) :]
            self.mailboxes[box.raw] = box
        self.notify()

    def delete(self, raw: str) -> None:
        """Its mail goes with it."""
        box = self.mailboxes.pop(raw)
        for uid in list(box.places):
            box.take(uid)
        self.notify()

    def renumber(self, raw: str = "INBOX", *, first: int = 1) -> None:
        """A new UIDVALIDITY, the same mail with new UIDs in the same order: a restored backup, a rebuilt index."""
        box = self.mailbox(raw)
        mails = [placed.mail for placed in box.places.values()]
        for uid in list(box.places):
            box.take(uid)
        self._made += 1
        box.uidvalidity, box.uidnext, box.highest_modseq = 1_000_000 + self._made, first, 1
        box.expunged.clear()
        for mail in mails:
            box.place(mail)
        self.notify()

    def freeze_modseq(self, raw: str = "INBOX", frozen: bool = True) -> None:
        """Changes no longer show in MODSEQ."""
        self.mailbox(raw).frozen = frozen

    def rewind_modseq(self, raw: str = "INBOX", modseq: int = 1) -> None:
        """HIGHESTMODSEQ goes back, which it never may (RFC 7162 3.1.2.1)."""
        self.mailbox(raw).highest_modseq = modseq
        self.notify()

    # What sessions do; they notify themselves

    def copied(self, placed: Place, to: Mailbox) -> Place:
        """A copy with flags of its own. OBJECTID: the same content, so the same EMAILID (RFC 8474 5.1)."""
        old = placed.mail
        mail = self._mail(old.octets, old.flags, old.internal_date)
        mail.thread, mail.content = old.thread or old.number, old.content or old.number
        mail.size, mail.fetchable = old.size, old.fetchable
        return to.place(mail)

    def moved(self, placed: Place, to: Mailbox) -> Place:
        """The same mail at another place."""
        placed.mailbox.take(placed.uid)
        return to.place(placed.mail)

    def remove(self, box: Mailbox, uid: int) -> None:
        box.take(uid)

    def touched(self, mail: Mail) -> None:
        """Its flags or labels changed: so did each place."""
        for placed in mail.places:
            placed.mailbox.changed(placed)

    def appended(self, box: Mailbox, octets: bytes, flags: Iterable[str], date: int | None) -> Place:
        return self._add(box.raw, octets, flags, date, ())

    def _add(self, raw: str, octets: bytes, flags: Iterable[str], date: int | None, labels: Iterable[str]) -> Place:
        return self.mailbox(raw).place(self._mail(octets, flags, date))

    def _mail(self, octets: bytes, flags: Iterable[str], date: int | None) -> Mail:
        self._mails += 1
        return Mail(octets, EPOCH + 60 * self._mails if date is None else date, self._mails, set(flags))


def fill(account: Account, boxes: Sequence[tuple[str, tuple[str, ...]]],
         mailboxes: Mapping[str, int | Iterable[bytes]]) -> None:
    """The personality's mailboxes, then those a test asks for with their first mail: a number of messages or octets."""
    for raw, attributes in boxes:
        account.create(raw, *attributes)
    for raw, contents in mailboxes.items():
        if account.key(raw) not in account.mailboxes:
            account.create(raw)
        if isinstance(contents, int):
            account.deliver_many(contents, raw)
        else:
            for octets in contents:
                account.deliver(raw, octets)


def _each(uids: Uids) -> list[int]:
    return [uids] if isinstance(uids, int) else list(uids)
