"""What is asked of messages: attributes of FETCH, criteria of SEARCH; rendered for what the server at hand can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.model.sequence import Ranges, render
from gateway.wire.date import date_text
from gateway.wire.search import SearchKey

from .compose import Part, atom, string
from .terms import rendered
from .values import FetchedMessage

Has = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class FetchWants:
    """Attributes; UID always comes. What the server does not know (`Has`) is not asked for, and None in the answer."""

    flags: bool = True
    internal_date: bool = False
    size: bool = False
    modseq: bool = False
    ids: bool = False
    """EMAILID and THREADID (RFC 8474), X-GM-MSGID and X-GM-THRID."""
    labels: bool = False
    """X-GM-LABELS."""
    header: tuple[str, ...] = ()
    """Names of fields: BODY.PEEK[HEADER.FIELDS (…)]."""

    def render(self, has: Has) -> list[bytes]:
        items = [b"UID"]
        for wanted, name in (
            (self.flags, b"FLAGS"),
            (self.internal_date, b"INTERNALDATE"),
            (self.size, b"RFC822.SIZE"),
            (self.modseq and has("CONDSTORE"), b"MODSEQ"),
            (self.ids and has("OBJECTID"), b"EMAILID THREADID"),
            (self.ids and has("X-GM-EXT-1"), b"X-GM-MSGID X-GM-THRID"),
            (self.labels and has("X-GM-EXT-1"), b"X-GM-LABELS"),
        ):
            if wanted:
                items.append(name)
        if self.header:
            items.append(b"BODY.PEEK[HEADER.FIELDS (%b)]" % b" ".join(atom(name) for name in self.header))
        return items

    def answered_by(self, message: FetchedMessage) -> bool:
        """Whether a response with `message` may be the answer: one that only tells flags is news, not what was asked.

        Servers leave things out (Exchange, Yahoo): one attribute besides UID, FLAGS and MODSEQ is enough.
        """
        told = (
            (self.internal_date, message.internal_date),
            (self.size, message.size),
            (self.ids, message.email_id if message.email_id is not None else message.gmail_id),
            (self.labels, message.labels),
            (bool(self.header), message.header),
        )
        asked = [value for wanted, value in told if wanted]
        return not asked or any(value is not None for value in asked)


@dataclass(frozen=True, slots=True)
class SearchWants:
    """Criteria, all of which must hold; none: all mail. `since`, `before`: of INTERNALDATE, days since 1970-01-01."""

    uids: Ranges | None = None
    since: int | None = None
    before: int | None = None
    seen: bool | None = None
    flagged: bool | None = None
    deleted: bool | None = None
    sender: str | None = None
    recipient: str | None = None
    subject: str | None = None
    text: str | None = None
    header: tuple[tuple[str, str], ...] = ()
    """(field, text it holds): `("Message-ID", "<x@y>")`."""
    larger: int | None = None
    smaller: int | None = None
    gmail_label: bytes | None = None
    """As the server spells it: `\\Inbox`."""
    gmail_raw: str | None = None
    """Gmail's own search language."""
    terms: SearchKey | None = None
    """Further criteria, as somebody wrote them."""

    def within(self, uids: Ranges) -> SearchWants:
        return replace(self, uids=uids)

    def render(self) -> tuple[list[Part], bool]:
        """(the criteria with spaces between them, whether they need CHARSET UTF-8)."""
        parts: list[Part] = []
        if self.uids is not None:
            parts.append(b"UID " + render(self.uids).encode("ascii"))
        for name, day in ((b"SINCE ", self.since), (b"BEFORE ", self.before)):
            if day is not None:
                parts.append(name + date_text(day))
        for name, state in ((b"SEEN", self.seen), (b"FLAGGED", self.flagged), (b"DELETED", self.deleted)):
            if state is not None:
                parts.append(name if state else b"UN" + name)
        for name, size in ((b"LARGER %d", self.larger), (b"SMALLER %d", self.smaller)):
            if size is not None:
                parts.append(name % size)
        texts = [
            (b"FROM", self.sender), (b"TO", self.recipient), (b"SUBJECT", self.subject), (b"TEXT", self.text),
            (b"X-GM-RAW", self.gmail_raw),
            *((b"HEADER " + atom(field), text) for field, text in self.header),
        ]  # fmt: skip
        utf8 = False
        for key, text in texts:
            if text is not None:
                utf8 = utf8 or not text.isascii()
                parts += [key, string(text)]
        if self.gmail_label is not None:
            parts += [b"X-GM-LABELS", string(self.gmail_label)]
        if self.terms is not None:
            further, eight_bit = rendered(self.terms)
            utf8 = utf8 or eight_bit
            parts += further
        return parts or [b"ALL"], utf8


FLAGS_ONLY: Final = FetchWants()
EVERYTHING: Final = SearchWants()
