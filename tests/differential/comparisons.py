"""What the two servers are asked: one table. A new kind of question is one more row here.

`FETCHES` are asked of every message, `NUMBERS` and `TREES` once of the mailbox. `SECTIONS` are asked of every part.
"""

from __future__ import annotations

from typing import Final

FETCHES: Final = (
    b"RFC822.SIZE",
    b"ENVELOPE",
    b"BODYSTRUCTURE",
    b"BODY",
    b"INTERNALDATE",
    b"BODY.PEEK[]",
    b"BODY.PEEK[HEADER]",
    b"BODY.PEEK[TEXT]",
    b"BODY.PEEK[]<10.300>",
    b"BODY.PEEK[HEADER.FIELDS (Subject From To X Received Content-Type)]",
    b"BODY.PEEK[HEADER.FIELDS.NOT (Received From)]",
    b"RFC822.HEADER",
)
"""One item each."""

SECTIONS: Final = (
    b"",
    b".MIME",
    b".HEADER",
    b".TEXT",
    b".HEADER.FIELDS (Subject From)",
    b".HEADER.FIELDS.NOT (Subject)",
)
"""What of each part, behind its number."""

_HEADER_WORDS: Final = (
    "a", "re:", "mail", "returned", "undeliverable", "test", "example.com", "postmaster", "mailer-daemon", "daemon@",
    "python", "barry", "invoice", "jürgen", "grüße", "Grü", "über", "e an", "ß", "needle", "second", "first", "open",
    "=?", "morbo", "ed <ed", "group", "undisclosed", "(c)", "z@one", "@", ".",
)  # fmt: skip
_TEXT_WORDS: Final = (
    "failed permanently", "could not be delivered", "quota exceeded", "user unknown", "is not a member", "morbo",
    "needle one", "one\r\nneedle", "needle three", "lorem", "dolor sit", "gateway", "budget", "привет", "日本",
    "body text", "body textbody", "ä",
    "epilogue", "nothing of it", "three four", "innermost", "is even more", "no such thing",
)  # fmt: skip
_FIELDS: Final = (
    "X",
    "Subject",
    "Subject",
    "X-After",
    "Message-ID",
    "X-No-Such",
    "Cc",
    "References",
    "Date",
    "Received",
)
_DAYS: Final = (
    "1-Jan-1990", "6-Nov-1964", "6-Nov-1994", "7-Nov-1994", "1-Jan-2001", "2-Jan-2001", "22-Oct-2003", "23-Oct-2003",
    "24-Oct-2003", "4-Oct-2002", "27-Mar-2006", "31-Dec-2023", "1-Jan-2024", "2-Jan-2024", "1-Nov-2025", "12-Nov-2025",
)  # fmt: skip
_SIZES: Final = (0, 1, 2, 97, 98, 500, 774, 775, 1000, 3000, 6000, 20_000, 100_000, 4_294_967_295)


def _searches() -> list[bytes]:
    texts = [f'{key} "{word}"' for key in ("SUBJECT", "FROM", "TO", "CC") for word in _HEADER_WORDS]
    texts += [f'HEADER Content-Type "{word}"' for word in ("multipart", "report", "boundary", "plain")]
    texts += [f'HEADER {field} ""' for field in _FIELDS]
    texts += [f'{key} "{word}"' for key in ("TEXT", "BODY") for word in _TEXT_WORDS if "\r" not in word]
    texts += [f"{key} {day}" for key in ("SENTBEFORE", "SENTON", "SENTSINCE", "BEFORE", "ON", "SINCE") for day in _DAYS]
    texts += [f"{key} {size}" for key in ("LARGER", "SMALLER") for size in _SIZES]
    texts += [
        'OR SUBJECT "re:" NOT FROM "b"',
        'NOT (LARGER 1000 SUBJECT "e")',
        'BODY "grüße"',
        "1:20,40:50 SMALLER 3000",
        "UID 5:*",
    ]
    return [f"SEARCH CHARSET UTF-8 {text}".encode() for text in texts]


NUMBERS: Final[tuple[bytes, ...]] = (*_searches(),)
"""Commands whose answer is a list of message numbers, in the order that counts: SEARCH, SORT."""

TREES: Final[tuple[bytes, ...]] = ()
"""Commands whose answer is nested numbers: THREAD."""
