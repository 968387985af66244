"""Mailboxes as values: their row, their roles (RFC 6154) and the names a new inbox starts with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .ids import InboxId, MailboxId, ModSeq, Uid, UidValidity

DELIMITER: Final = "/"
INBOX: Final = "INBOX"
MAX_DEPTH: Final = 100  # levels; nothing walks trees by recursion
MAX_NAME_OCTETS: Final = 1000  # UTF-8 octets of a whole name

SENT: Final = "\\Sent"
DRAFTS: Final = "\\Drafts"
TRASH: Final = "\\Trash"
JUNK: Final = "\\Junk"
STANDARD_MAILBOXES: Final[Mapping[str, str | None]] = {
    INBOX: None, "Sent": SENT, "Drafts": DRAFTS, "Trash": TRASH, "Spam": JUNK,
}  # fmt: skip
"""name -> special-use attribute (RFC 6154) of the mailboxes each inbox is born with."""
USUAL_NAMES: Final[Mapping[str, str]] = {role: name for name, role in STANDARD_MAILBOXES.items() if role is not None}
"""special-use attribute -> the name under which such a mailbox is made."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox row. `name` is the full NFC name with `/` between levels; INBOX is always spelled so.

    `noselect`: only a name that holds children (RFC 3501 \\Noselect). Counters are exact: they are kept in the
    transactions that change the messages.
    """

    id: MailboxId
    inbox_id: InboxId
    name: str
    role: str | None
    object_id: str
    uidvalidity: UidValidity
    uidnext: Uid
    highest_modseq: ModSeq
    messages: int
    unseen: int
    octets: int
    noselect: bool
    subscribed: bool
