"""The selected mailbox of a session, and the flag lists that describe it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.model.errors import ReadOnly
from gateway.model.mailbox import Mailbox
from gateway.model.permissions import Principal

from . import access
from .access import Action
from .mailbox_state import MailboxState
from .states import SharedState
from .view import View

if TYPE_CHECKING:
    from .contexts import Contexts


class Selected:
    """What SELECT or EXAMINE opened."""

    __slots__ = (
        "_behind", "contexts", "expunges_told", "keywords_told", "mailbox", "modseq_shown", "read_only", "shared",
        "view",
    )  # fmt: skip

    def __init__(self, shared: SharedState, mailbox: Mailbox, *, read_only: bool) -> None:
        self.shared = shared
        self.mailbox = mailbox
        """The row as it was at SELECT: id and UIDVALIDITY hold, counters do not, and the role is that of SELECT."""
        self.view = View(shared.state)
        self.read_only = read_only
        self.contexts: Contexts | None = None
        """Searches with UPDATE, once there is one."""
        self.keywords_told = len(shared.state.keywords)
        self.modseq_shown = False
        """A MODSEQ was shown since the last tagged response: the client will take the highest of them for its own."""
        self.expunges_told = False
        """EXPUNGE or VANISHED was sent since then."""
        self._behind = False  # the client was told a HIGHESTMODSEQ below MODSEQs that it has seen

    def highest_to_tell(self, *, always_after_expunge: bool) -> int | None:
        """The HIGHESTMODSEQ to send with a tagged response, None when the client reckons the right one itself.

        RFC 7162 3.2 and 6: a client takes the highest MODSEQ it was shown, unless it is told otherwise. While an
        expunge, or anything else, with a lower one is withheld it must be, or it would never hear of that after a
        reconnect. `always_after_expunge`: QRESYNC is on (3.2.7).
        """
        told = self.view.told_modseq
        missing = told < self.shared.state.highest_modseq
        if self.modseq_shown and missing:
            say = self._behind = True
        else:
            say = (self._behind and not missing) or (self.expunges_told and always_after_expunge)
            self._behind = self._behind and missing
        self.modseq_shown = self.expunges_told = False
        return told if say else None

    def require(self, principal: Principal, action: Action) -> None:
        """NoPermission when the key may not do `action` here, ReadOnly after EXAMINE."""
        access.require(principal, action, self.mailbox.role)
        if self.read_only:
            raise ReadOnly("Mailbox is read-only")


def flag_list(state: MailboxState) -> bytes:
    """The five system flags and the mailbox's keywords, without parentheses."""
    names = [r"\Answered", r"\Flagged", r"\Deleted", r"\Seen", r"\Draft", *state.keywords.values()]
    return " ".join(names).encode("ascii")
