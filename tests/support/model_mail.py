"""A few mails of which everything is known beforehand, and SEARCH keys as a person would read them. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

FLAGS = ["\\Seen", "\\Deleted", "\\Flagged", "\\Answered", "work", "$Later"]
DAY = 86_400
FIRST_DAY = 1_600_000_000 // DAY * DAY
"""Midnight UTC of the first day that a mail of ours may have come."""


@dataclass(frozen=True)
class Content:
    """Octets, and what is in them. `parts`: section -> (its octets as sent, decoded)."""

    octets: bytes
    subject: str
    base: str
    sender: str
    day: int
    words: str
    parts: dict[str, tuple[bytes, bytes]] = field(hash=False)

    @property
    def header(self) -> bytes:
        return self.octets.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    @property
    def text(self) -> bytes:
        return self.octets.partition(b"\r\n\r\n")[2]


@dataclass
class Mail:
    """A message in a mailbox: `date` and `saved` in seconds."""

    uid: int
    flags: frozenset[str]
    modseq: int
    content: Content
    date: int
    saved: int


def _plain(number: int, subject: str, base: str, sender: str, day: int, words: str, links: str = "") -> Content:
    head = f"From: {sender} <{sender}@example.net>\r\nSubject: {subject}\r\nMessage-ID: <m{number}@example.net>\r\n"
    head += f"Date: {day + 1} Sep 2020 10:00:00 +0000\r\n{links}\r\n"
    body = words.encode()
    return Content(head.encode() + body, subject, base, sender, day, words, {"1": (body, body)})


def _multipart() -> Content:
    inner = "Wald und Wiese, grün".encode()
    packed = base64.b64encode(inner)
    octets = (
        b"From: Dora <Dora@example.net>\r\nSubject: walk\r\nMessage-ID: <m9@example.net>\r\n"
        b"Date: 3 Sep 2020 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=X\r\n\r\n"
        b"--X\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + packed +
        b"\r\n--X\r\nContent-Type: text/plain\r\n\r\nsecond part, apples\r\n--X--\r\n"
    )
    second = b"second part, apples"
    return Content(
        octets, "walk", "walk", "Dora", 2, "Wald und Wiese, grün second part, apples",
        {"1": (packed, inner), "2": (second, second)},
    )  # fmt: skip


CONTENTS = [
    _plain(1, "pears", "pears", "Anton", 0, "Are there any pears left?"),
    _plain(2, "apples", "apples", "Berta", 1, "Apples and a bucket."),
    _plain(3, "Re: pears", "pears", "Berta", 3, "None.\r\nOnly apples.\r\n", "References: <m1@example.net>\r\n"),
    _plain(4, "Fwd: apples", "apples", "Caesar", 2, "x" * 300, "References: <m2@example.net>\r\n"),
    _plain(5, "", "", "Anton", 4, ""),
    _multipart(),
]


def plain_text(text: bytes) -> Content:
    """What CATENATE made of header and text of others: its fields are those of the mail whose header it has."""
    for content in CONTENTS:
        if text.startswith(content.header) and content.parts.keys() == {"1"}:
            body = text[len(content.header) :]
            words = body.decode()
            return Content(
                text, content.subject, content.base, content.sender, content.day, words, {"1": (body, body)}
            )
    raise AssertionError("a header of ours")


@dataclass(frozen=True)
class Key:
    """A search key: its text, what it means for the message of a number, and whether it names numbers or MODSEQs."""

    text: str
    holds: Callable[[int, Mail], bool]
    numbers: bool = False
    modseq: bool = False


def _month(day: int) -> str:
    return f"{13 + day}-Sep-2020"  # FIRST_DAY is the 13th


def _has(words: str, needle: str) -> bool:
    return needle.casefold() in words.casefold()


def random_key(random: Random, *, uid_only: bool, uidnext: int, exists: int, modseq: int, depth: int = 2) -> Key:
    """One that is legal where `exists` messages are seen and MODSEQs reach to `modseq`."""

    def again() -> Key:
        return random_key(
            random, uid_only=uid_only, uidnext=uidnext, exists=exists, modseq=modseq, depth=depth - 1
        )

    choices: list[Callable[[], Key]] = [_any, lambda: _flag(random), lambda: _flag(random), lambda: _text(random)]
    choices += [lambda: _date(random), lambda: _size(random), lambda: _uids(random, uidnext)]
    choices.append(lambda: _modseq(max(modseq - random.randrange(6), 0)))
    if exists and not uid_only:
        choices.append(lambda: _numbers(random, exists))
    if depth:
        choices += [lambda: _not(again()), lambda: _or(again(), again()), lambda: _and(again(), again())]
    return random.choice(choices)()


def _any() -> Key:
    return Key("ALL", lambda number, mail: True)


def _flag(random: Random) -> Key:
    flag = random.choice(FLAGS)
    have = random.random() < 0.5
    if flag.startswith("\\"):
        text = flag[1:].upper() if have else f"UN{flag[1:].upper()}"
    else:
        text = f"KEYWORD {flag}" if have else f"UNKEYWORD {flag}"
    return Key(text, lambda number, mail: (flag in mail.flags) is have)


def _text(random: Random) -> Key:
    word = random.choice(["pears", "apples", "bucket", "nowhere", "wiese", "berta"])
    kind = random.choice(["SUBJECT", "FROM", "BODY", "TEXT"])

    def holds(number: int, mail: Mail) -> bool:
        content = mail.content
        head = f"{content.subject}\n{content.sender} {content.sender}@example.net\nReferences Message-ID"
        where = {"SUBJECT": content.subject, "FROM": f"{content.sender} <{content.sender}@example.net>",
                 "BODY": content.words, "TEXT": f"{head}\n{content.words}"}[kind]  # fmt: skip
        return _has(where, word)

    return Key(f"{kind} {word}", holds)


def _date(random: Random) -> Key:
    day = random.randrange(6)
    kind = random.choice(["SINCE", "BEFORE", "ON", "SENTSINCE", "SENTBEFORE", "SENTON"])
    compare: dict[str, Callable[[int], bool]] = {
        "SINCE": lambda found: found >= day, "BEFORE": lambda found: found < day, "ON": lambda found: found == day,
    }  # fmt: skip
    if kind.startswith("SENT"):
        return Key(f"{kind} {day + 1}-Sep-2020", lambda _, mail: compare[kind[4:]](mail.content.day))
    return Key(f"{kind} {_month(day)}", lambda _, mail: compare[kind]((mail.date - FIRST_DAY) // DAY))


def _size(random: Random) -> Key:
    size = random.choice([len(content.octets) for content in CONTENTS])
    if random.random() < 0.5:
        return Key(f"LARGER {size}", lambda _, mail: len(mail.content.octets) > size)
    return Key(f"SMALLER {size}", lambda _, mail: len(mail.content.octets) < size)


def _uids(random: Random, uidnext: int) -> Key:
    low, high = sorted((random.randint(1, uidnext), random.randint(1, uidnext)))
    return Key(f"UID {low}:{high}", lambda _, mail: low <= mail.uid <= high)


def _numbers(random: Random, exists: int) -> Key:
    low, high = sorted((random.randint(1, exists), random.randint(1, exists)))
    return Key(f"{low}:{high}", lambda number, _: low <= number <= high, numbers=True)


def _modseq(least: int) -> Key:
    return Key(f"MODSEQ {least}", lambda _, mail: mail.modseq >= least, modseq=True)


def _not(key: Key) -> Key:
    return Key(f"NOT {key.text}", lambda n, mail: not key.holds(n, mail), key.numbers, key.modseq)


def _or(one: Key, two: Key) -> Key:
    return Key(
        f"OR {one.text} {two.text}", lambda n, mail: one.holds(n, mail) or two.holds(n, mail),
        one.numbers or two.numbers, one.modseq or two.modseq,
    )  # fmt: skip


def _and(one: Key, two: Key) -> Key:
    return Key(
        f"({one.text} {two.text})", lambda n, mail: one.holds(n, mail) and two.holds(n, mail),
        one.numbers or two.numbers, one.modseq or two.modseq,
    )  # fmt: skip


SORT_KEYS: dict[str, Callable[[Mail], object]] = {
    "ARRIVAL": lambda mail: mail.date,
    "DATE": lambda mail: mail.content.day,
    "SIZE": lambda mail: len(mail.content.octets),
    "SUBJECT": lambda mail: mail.content.base,
    "FROM": lambda mail: mail.content.sender.casefold(),
}


def in_order(criteria: Sequence[str], found: Sequence[Mail]) -> list[Mail]:
    """Sorted by criteria of `SORT_KEYS`, each with or without `REVERSE ` before it; then by UID."""
    ordered = sorted(found, key=lambda mail: mail.uid)
    for criterion in reversed(criteria):
        name = criterion.removeprefix("REVERSE ")
        ordered.sort(key=SORT_KEYS[name], reverse=criterion != name)  # type: ignore[arg-type]
    return ordered


def by_ordered_subject(found: Sequence[Mail]) -> list[list[Mail]]:
    """THREAD=ORDEREDSUBJECT (RFC 5256 3): each thread's first message is the parent of all its others."""
    threads: dict[str, list[Mail]] = {}
    for mail in in_order(["SUBJECT", "DATE"], found):
        threads.setdefault(mail.content.base, []).append(mail)
    return sorted(threads.values(), key=lambda thread: (thread[0].content.day, thread[0].uid))
