"""The selected mailbox of a session, and the flag lists that describe it."""

from __future__ import annotations

from gateway.model.errors import ReadOnly
from gateway.model.mailbox import Mailbox
from gateway.model.permissions import Principal

from . import access
from .access import Action
from .mailbox_state import MailboxState
from .states import SharedState
from .view import View


class Selected:
    """What SELECT or EXAMINE opened."""

    __slots__ = ("keywords_told", "mailbox", "read_only", "shared", "view")

    def __init__(self, shared: SharedState, mailbox: Mailbox, *, read_only: bool) -> None:
        self.shared = shared
        self.mailbox = mailbox
        """The row as it was at SELECT: id, role and UIDVALIDITY hold, counters do not."""
        self.view = View(shared.state)
        self.read_only = read_only
        self.keywords_told = len(shared.state.keywords)

    def require(self, principal: Principal, action: Action) -> None:
        """NoPermission when the key may not do `action` here, ReadOnly after EXAMINE."""
        access.require(principal, action, self.mailbox.role)
        if self.read_only:
            raise ReadOnly("Mailbox is read-only")


def flag_list(state: MailboxState) -> bytes:
    """The five system flags and the mailbox's keywords, without parentheses."""
    names = [r"\Answered", r"\Flagged", r"\Deleted", r"\Seen", r"\Draft", *state.keywords.values()]
    return " ".join(names).encode("ascii")
