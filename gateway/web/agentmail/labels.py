"""Labels ⇄ flags, keywords and mailboxes: one mapping for both directions. Pure.

| label | is |
|---|---|
| `unread` | not \\Seen |
| `starred` | \\Flagged |
| `trash`, `spam` | it lies in the mailbox with that special use; the label moves it there, and back |
| `sent`, `draft` | it lies in \\Sent, in \\Drafts |
| `received` | it lies anywhere else, or in Trash without being of the inbox itself |
| any other | the keyword of that name |

What a message is, and not how it is filed, cannot be changed: `sent`, `received`, `draft` and what servers said of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.access.changing import Marks
from gateway.access.listing import Placed
from gateway.model.errors import InvalidRequest
from gateway.model.flags import MAX_KEYWORD_LENGTH
from gateway.model.mailbox import DRAFTS, JUNK, SENT, TRASH

UNREAD: Final = "unread"
STARRED: Final = "starred"
_FLAGS: Final = {UNREAD: "\\Seen", STARRED: "\\Flagged"}
ROLES: Final = {"trash": TRASH, "spam": JUNK, "sent": SENT, "draft": DRAFTS}
"""Label -> the special use of the mailbox that it stands for."""
FIXED: Final = frozenset(
    {"sent", "received", "draft", "scheduled", "blocked", "unauthenticated", "bounced", "delivered", "complained",
     "rejected", "opened"}
)  # fmt: skip
"""System labels that nobody adds or removes."""
SYSTEM: Final = FIXED | {UNREAD, STARRED, "trash", "spam"}
MANY: Final = 50
"""Labels of one request."""
_KEYWORD: Final = re.compile(r'[^\x00-\x20(){%*"\\\x7f-\U0010ffff]+')


def labels_of(message: Placed, own: bool) -> list[str]:
    """System labels, then keywords. `own`: it was written by the inbox itself."""
    roles = {place.role for place in message.places}
    found = [label for label, role in ROLES.items() if role in roles]
    if roles == {TRASH}:
        found.append("sent" if own else "received")
    elif roles - {TRASH, SENT, DRAFTS}:
        found.append("received")
    if "\\Seen" not in message.flags:
        found.append(UNREAD)
    if "\\Flagged" in message.flags:
        found.append(STARRED)
    return [*sorted(found), *(word for word in message.keywords if word.lower() not in SYSTEM)]


def checked(label: str) -> str:
    """A label that a keyword can stand for, in small letters where it is one of the system's. InvalidRequest."""
    if label.lower() in SYSTEM:
        return label.lower()
    if len(label) > MAX_KEYWORD_LENGTH or _KEYWORD.fullmatch(label) is None:
        raise InvalidRequest(f"labels: {label[:50]!r} has a blank, a sign of its own in IMAP, or is not ASCII")
    return label


@dataclass(frozen=True, slots=True)
class Change:
    """`marks`: flags and keywords. `into`: special use of the mailbox that it is moved to; `out_of`: which it leaves
    for where it came from, as far as that can be told.
    """

    marks: Marks
    into: str | None = None
    out_of: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        return self.marks == Marks() and self.into is None and not self.out_of


def change(add: Iterable[str], remove: Iterable[str], *, fixed: frozenset[str] = FIXED) -> Change:
    """Who removes a label that he also adds removes it. InvalidRequest: also for a label that is nobody's choice."""
    gone = {checked(label).lower(): checked(label) for label in remove}
    come = {checked(label).lower(): checked(label) for label in add if label.lower() not in gone}
    for label in (*gone, *come):
        if label in fixed:
            raise InvalidRequest(f"{label} is a label of the system: it cannot be added or removed")
    plus: list[str] = []
    minus: list[str] = []
    for given, flags, words in ((come, plus, plus), (gone, minus, minus)):
        for folded, label in given.items():
            if folded == STARRED:
                flags.append(_FLAGS[STARRED])
            elif folded not in SYSTEM:
                words.append(label)
    if UNREAD in come:
        minus.append(_FLAGS[UNREAD])
    elif UNREAD in gone:
        plus.append(_FLAGS[UNREAD])
    into = next((ROLES[label] for label in ("trash", "spam") if label in come), None)
    out = frozenset(ROLES[label] for label in ("trash", "spam") if label in gone) if into is None else frozenset()
    return Change(Marks(tuple(plus), tuple(minus)), into, out)
