"""Which messages of an inbox are asked for. Values only: `listing` finds them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from gateway.mime import fold
from gateway.model.flags import ANSWERED, DRAFT, FLAGGED, SEEN

FIELDS: Final = {"from_": ("FROM", "SENDER"), "to": ("TO", "CC", "BCC"), "subject": ("SUBJECT",)}
"""Filter -> header fields, any of which may hold it."""


@dataclass(frozen=True, slots=True)
class Query:
    """None: no such condition. All that are given must hold.

    `mailbox`: id or name. `without`: roles (`\\Trash`) of mailboxes that are left out where no mailbox is named.
    `since` <= date received < `before`, Unix seconds. `from_`, `to` (Cc and Bcc too), `subject`: what a field holds;
    `text`: what header or text hold, without case, as IMAP's SEARCH finds it. `keyword`: it bears that one.
    Flags are those of all places together: a message is unread where it was read nowhere.
    """

    mailbox: str | None = None
    without: frozenset[str] = frozenset()
    since: int | None = None
    before: int | None = None
    unread: bool | None = None
    flagged: bool | None = None
    answered: bool | None = None
    draft: bool | None = None
    keyword: str | None = None
    no_keyword: str | None = None
    from_: str | None = None
    to: str | None = None
    subject: str | None = None
    text: str | None = None
    thread: str | None = None
    rising: bool = False
    """Oldest first."""
    has: int = field(init=False)
    lacks: int = field(init=False)

    def __post_init__(self) -> None:
        asked = (
            (SEEN, None if self.unread is None else not self.unread), (FLAGGED, self.flagged),
            (ANSWERED, self.answered), (DRAFT, self.draft),
        )  # fmt: skip
        object.__setattr__(self, "has", sum(bit for bit, wanted in asked if wanted is True))
        object.__setattr__(self, "lacks", sum(bit for bit, wanted in asked if wanted is False))

    @property
    def needles(self) -> dict[tuple[str, ...], bytes]:
        """Header fields -> folded needle; no field stands for the whole message."""
        found = {names: fold(value) for name, names in FIELDS.items() if (value := getattr(self, name))}
        if self.text:
            found[()] = fold(self.text)
        return found

    def fits(self, flags: int, keywords: Collection[str]) -> bool:
        """Whether a message with these system flags, and keywords in small letters, is asked for."""
        return (
            flags & self.has == self.has
            and not flags & self.lacks
            and (self.keyword is None or self.keyword.lower() in keywords)
            and (self.no_keyword is None or self.no_keyword.lower() not in keywords)
        )


EVERYTHING: Final = Query()
