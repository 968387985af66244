"""What actions answer. `uidvalidity` goes with every UID: whoever names it later is refused when it has changed."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.upstream.values import MailboxStatus


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the account. `role`: `\\Sent` …, by the server or by its name; `status` None: not asked, refused."""

    name: str
    delimiter: str | None
    role: str | None
    selectable: bool
    status: MailboxStatus | None = None


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """A message in short: its header fields decoded and cut, `date` when it arrived, in Unix seconds."""

    uid: int
    date: int | None = None
    size: int | None = None
    flags: tuple[str, ...] = ()
    sender: str = ""
    recipient: str = ""
    subject: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """`total` messages fit; `messages` are the newest of them below `below`. `more`: older ones are left."""

    mailbox: str
    uidvalidity: int
    total: int
    messages: tuple[MessageFacts, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """Messages that an action was done to."""

    mailbox: str
    uidvalidity: int
    uids: tuple[int, ...]
    flags: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """(UID, flags) as the server told them afterwards, where flags were changed."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Messages that were copied or moved. `to_uids` None: the server does not tell where they are now.

    They rise, and are no pairs with `uids`: some servers mix up which is which. `left_deleted`: the originals are
    marked \\Deleted and still there, for the server cannot expunge single messages.
    """

    mailbox: str
    uidvalidity: int
    uids: tuple[int, ...]
    to: str
    to_uidvalidity: int | None
    to_uids: tuple[int, ...] | None
    left_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Filed:
    """A message that was put into a folder. `uid` None: the server does not tell, and it could not be found."""

    mailbox: str
    uidvalidity: int
    uid: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Made:
    """A folder that was made, renamed or (`uidvalidity` is that which it had) deleted."""

    mailbox: str
    uidvalidity: int
    subscribed: bool
