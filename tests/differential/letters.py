"""Mail that SORT and THREAD are compared by: made, for real corpora hold few threads. Each run makes the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

from tests.differential.corpora import Mail

_TOPICS: Final = (
    "pears", "Apples", "budget 2026", "Re", "[list] weekly report", "=?utf-8?q?gr=C3=BCne_Wiese?=", "a  b\tc", "(fwd)",
    "fwd", "[ann] [x] release", "Straße", "zebra", "",
)  # fmt: skip
_MARKS: Final = ("Re: ", "RE: re: ", "Fwd: ", "fw : ", "Re[2]: ", "[list] Re: ", "re: [list] ")
_TRAILERS: Final = (" (fwd)", " (FWD)  ", "")
_PEOPLE: Final = (
    "ann@example.net", "Bob <bob@example.net>", '"Zoe, Q." <ANN@example.org>',
    "=?utf-8?q?=C3=84nne?= <zed@example.net>", "carl@example.net (Carl)", "<dora@example.net>",
    "Friends: eve@example.net, ann@example.net;", "émile@example.net",
)  # fmt: skip
_START: Final = datetime(2001, 3, 4, 5, 6, 7, tzinfo=UTC)


def letters(count: int, seed: int = 1) -> Iterator[Mail]:
    """A mailbox of discussions: replies before their parents, parents that are missing, odd subjects and lists."""
    rng = random.Random(seed)
    known: list[tuple[str, list[str], str]] = []  # (id, references, subject)
    for number in range(count):
        own = f"{number}.{rng.randrange(10**6)}@mail.test"
        links: list[str] = []
        topic = rng.choice(_TOPICS)
        subject = topic
        if known and rng.random() < 0.6:
            parent, above, topic = rng.choice(known[-40:])
            links = [*above, parent]
            subject = rng.choice(_MARKS) + topic if rng.random() < 0.8 else topic
            if rng.random() < 0.1:
                subject = f"[Fwd: {topic}]"
        elif rng.random() < 0.3:
            links = [f"gone{rng.randrange(12)}@mail.test"]
            subject = "Re: " + topic
        known.append((own, links, topic))
        subject += rng.choice(_TRAILERS)
        if len(links) > 3 and rng.random() < 0.3:
            links = [links[0], *links[-2:]]  # truncated, as some programs do
        yield Mail(f"letter/{number}", _letter(rng, number, own, links, subject))


def _letter(rng: random.Random, number: int, own: str, links: list[str], subject: str) -> bytes:
    sent = _START + timedelta(minutes=rng.randrange(200_000))
    fields = [f"From: {rng.choice(_PEOPLE)}", f"To: {rng.choice(_PEOPLE)}"]
    if rng.random() < 0.95:
        fields.append(f"Subject: {subject}")
    if rng.random() < 0.5:
        fields.append(f"Cc: {rng.choice(_PEOPLE)}, {rng.choice(_PEOPLE)}")
    fields.append(f"Date: {format_datetime(sent)}")
    if rng.random() < 0.97:
        fields.append(f"Message-ID: <{own}>")
    if links and rng.random() < 0.9:
        fields.append("References: " + "\r\n ".join(f"<{link}>" for link in links))
    elif links:
        fields.append(f"In-Reply-To: <{links[-1]}>")
    if rng.random() < 0.05 and len(links) > 1:
        fields[-1] = fields[-1].replace(f"<{links[-1]}>", "", 1)
    body = "line\r\n" * rng.randrange(1, 400)
    return ("\r\n".join(fields) + f"\r\n\r\nletter {number}\r\n{body}").encode()
