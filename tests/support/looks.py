"""What a client sees in a mailbox of the real process, by the subjects of its messages (imaplib)."""

from __future__ import annotations

import imaplib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def closing(client: imaplib.IMAP4_SSL) -> Iterator[imaplib.IMAP4_SSL]:
    """Closes the socket of a client whose server may be dead."""
    try:
        yield client
    finally:
        client.shutdown()


def subjects(client: imaplib.IMAP4_SSL, mailbox: str) -> list[str]:
    """In the mailbox's order."""
    rows = _rows(client, mailbox, "BODY.PEEK[HEADER.FIELDS (Subject)]")
    return [octets.split(b"Subject: ")[1].strip().decode() for _, octets in rows]


def whole(client: imaplib.IMAP4_SSL, mailbox: str) -> Counter[str]:
    """How often each subject is there; every message has all its octets, and ends with a line."""
    found: Counter[str] = Counter()
    for items, octets in _rows(client, mailbox, "(RFC822.SIZE BODY.PEEK[])"):
        assert len(octets) == int(items.split(b"RFC822.SIZE ")[1].split()[0]), "a message is half there"
        assert octets.endswith(b"\r\n")
        found[octets.split(b"Subject: ")[1].split(b"\r\n")[0].decode()] += 1
    return found


def _rows(client: imaplib.IMAP4_SSL, mailbox: str, items: str) -> list[tuple[bytes, bytes]]:
    if client.select(mailbox, readonly=True)[1] == [b"0"]:
        return []
    return [(row[0], row[1]) for row in client.fetch("1:*", items)[1] if isinstance(row, tuple)]
